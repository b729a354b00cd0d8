from dataclasses import replace

import numpy as np
import pytest

from experiments.examples import Examples, Fold
from experiments.grid import Cell
from experiments.head import HeadLearners
from experiments.noise import Noise, NoiseKind
from experiments.policies import policy
from experiments.rounds import plan
from experiments.stage import ambiguity, stage
from experiments.trial import Outcome, Trial
from tests.unit.experiments.shop import shop, vectors

CLEAN = Noise()


def _run(
    name: str, ratio: float, noise: Noise = CLEAN, is_stream: bool = False, examples: Examples | None = None
) -> Outcome:
    examples = examples or shop(is_stream)
    learners = HeadLearners(vectors(examples))
    confusing = ambiguity(examples, learners)
    prepared = stage(examples, learners, confusing, noise, seed=0)
    ticks = iter(range(10**6))
    cell = Cell(examples.name, "head", policy(name), ratio, noise, 0)
    return Trial(cell, prepared, 3, lambda: np.array([1.0, 2.0]) * next(ticks)).run()


@pytest.mark.parametrize("ratio", [0.01, 0.03, 0.1, 0.33, 1.0])
def test_all_policies_take_as_many_steps_at_a_ratio(ratio: float) -> None:
    shape = plan(40_000, 3, ratio)
    assert abs(shape.kept * shape.rounds / (3 * 40_000 * ratio) - 1) < 0.06
    assert shape.kept % 64 == 0
    steps = {_run(name, ratio).record["steps"] for name in ("uniform", "rs2", "last_layer_norm", "loss_top")}
    assert len(steps) == 1


@pytest.mark.parametrize("is_stream", [False, True])
def test_nothing_that_judges_is_learned_from_before_it_has_judged(is_stream: bool) -> None:
    examples = shop(is_stream)
    outcome = _run("rs2", 1.0, is_stream=is_stream)
    assert len(outcome.prediction) == len(examples.rows(examples.judged))
    assert not np.isnan(outcome.prediction).any()
    if is_stream:  # the first round is judged by a model of the history alone, the same whatever is then selected
        other = _run("loss_top", 0.1, is_stream=True)
        assert np.array_equal(outcome.prediction[:10], other.prediction[:10])


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("name", ["rs2", "last_layer_norm", "rho"])
def test_labels_that_judge_teach_nothing_before_they_have_judged(name: str, is_stream: bool) -> None:
    examples = shop(is_stream)  # so short a stream is one round
    other = np.where(examples.folds == examples.judged, 1 - examples.labels, examples.labels)
    turned = replace(examples, labels=other, relevance=other.astype(np.float64))
    first, second = (_run(name, 0.33, Noise(0.2), examples=each) for each in (examples, turned))
    assert np.array_equal(first.prediction, second.prediction)
    assert first.record["auc"] != second.record["auc"]


def test_labels_are_turned_over_where_it_is_learned_and_never_in_the_test() -> None:
    examples = shop()
    learners = HeadLearners(vectors(examples))
    prepared = stage(examples, learners, np.ones(len(examples)), Noise(0.4), seed=1)
    judged = examples.folds == Fold.TEST
    assert not prepared.wrong[judged].any()
    assert abs(prepared.wrong[~judged].mean() - 0.4) < 0.01
    assert np.array_equal(prepared.labels != examples.labels, prepared.wrong)


def test_who_is_mislabelled_depends_on_noise_and_seed_only() -> None:
    examples, learners = shop(), HeadLearners(vectors(shop()))
    first, again, other = (
        stage(examples, learners, np.ones(len(examples)), Noise(0.2, NoiseKind.UNIFORM), seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.wrong, again.wrong)
    assert not np.array_equal(first.wrong, other.wrong)


def test_the_record_counts_what_was_paid() -> None:
    record = _run("gradient_output", 0.1).record
    candidates, selected = record["candidates"], record["selected"]
    assert isinstance(candidates, int)
    assert isinstance(selected, int)
    assert record["forward_passes"] == 2 * candidates + 3 * selected
    for clock, ticks in (("cpu", 1), ("wall", 2)):  # by the clock it was given
        spent = [record[f"{what}_{clock}_seconds"] for what in ("scoring", "training")]
        assert spent == [3 * ticks] * 2  # of three rounds, each a tick of scoring and one of training


def test_a_run_is_the_same_every_time() -> None:
    first, again = (_run("rho", 0.1, Noise(0.2)) for _ in range(2))
    assert repr(first.record) == repr(again.record)  # a NaN equals nothing, itself included
    assert np.array_equal(first.prediction, again.prediction)
