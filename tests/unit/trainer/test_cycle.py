"""One turn of learning, from rows to a judged candidate."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest

from importance.sample import Sample
from trainer import version_directory as versions
from trainer.control_arm import compare_arms
from trainer.cycle import Held, Start, learn
from trainer.forward import predict
from trainer.gate import GatePolicy
from trainer.labelled import Labelled
from trainer.tuning import FineTuning, Optimisation, TrainingRows
from trainer.version_directory import Model

from .conftest import labels_of, shop

TUNING = FineTuning(steps=6, optimisation=Optimisation(batch_size=32))
GATE = GatePolicy(margin=0.01, alpha=0.05, min_samples=100)


def held_out(count: int = 400) -> Held:
    samples = shop(count, seed=2)
    holdout = Labelled(samples, labels_of(samples))
    return Held(holdout, holdout)


def rows_of(samples: list[Sample], labels: np.ndarray) -> TrainingRows:
    return TrainingRows(samples, labels, np.ones(len(samples)), np.arange(len(samples)) % 2 == 0)


def test_a_candidate_that_learned_the_shop_is_promoted_over_one_that_learned_nothing(
    untrained: Model, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    start = versions.save(untrained, tmp_path / "start")
    tuning = FineTuning(steps=100, optimisation=TUNING.optimisation)
    candidate = learn(Start(start, start), rows_of(samples, labels), held_out(), tuning, GATE, seed=1)
    assert candidate.decision.promote
    assert candidate.decision.difference > 0.1
    assert candidate.evaluation is not None
    assert candidate.evaluation.samples == 400


def test_a_candidate_that_learned_lies_is_rejected(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    tuning = FineTuning(steps=100, optimisation=TUNING.optimisation)
    candidate = learn(Start(first, first), rows_of(samples, 1 - labels), held_out(), tuning, GATE, seed=1)
    assert not candidate.decision.promote


def test_a_candidate_of_shuffled_labels_is_refused_and_its_checks_show_why(
    first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    poisoned = np.random.default_rng(0).permutation(labels)
    tuning = FineTuning(steps=100, optimisation=TUNING.optimisation)
    candidate = learn(Start(first, first), rows_of(samples, poisoned), held_out(), tuning, GATE, seed=1)
    assert not candidate.decision.promote
    checks = {check.name: check for check in candidate.decision.checks}
    assert checks["overall"].refuses
    assert checks["surface=recommendation"].refuses
    assert not checks["accuracy (McNemar)"].passed
    assert checks["size in bytes"].passed


def test_the_candidate_goes_on_from_the_base_and_is_judged_against_the_serving_version(
    first: Path, untrained: Model, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    start = versions.save(untrained, tmp_path / "start")
    candidate = learn(Start(serving=start, base=first), rows_of(samples, labels), held_out(), TUNING, GATE, seed=1)
    assert candidate.decision.difference > 0.1
    assert int(candidate.tuned.model.moments["final.weight.step"]) > TUNING.steps


def test_the_serving_files_are_left_as_they_were(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    before = {file.name: file.read_bytes() for file in first.iterdir()}
    learn(Start(first, first), rows_of(samples, labels), held_out(), TUNING, GATE, seed=1)
    assert before == {file.name: file.read_bytes() for file in first.iterdir()}


@pytest.mark.parametrize("count", [0, 3])
def test_without_a_holdout_nothing_is_promoted_and_nothing_breaks(
    count: int, first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    candidate = learn(Start(first, first), rows_of(samples, labels), held_out(count), TUNING, GATE, seed=1)
    assert not candidate.decision.promote


def test_a_fine_tune_that_was_stopped_is_not_finished_and_not_judged(
    first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    stop = Event()
    stop.set()
    candidate = learn(Start(first, first), rows_of(samples, labels), held_out(), TUNING, GATE, seed=1, stop=stop.is_set)
    assert not candidate.tuned.finished
    assert (candidate.decision.promote, candidate.decision.checks, candidate.evaluation) == (False, (), None)


def test_nothing_gives_no_predictions(first: Path) -> None:
    assert len(predict(versions.load(first), [])) == 0


def test_the_control_arm_of_wrong_labels_is_worse_and_that_of_the_same_rows_is_equal(
    first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    tuning = FineTuning(steps=60, optimisation=TUNING.optimisation)
    rows, held = rows_of(samples, labels), held_out()
    candidate = learn(Start(first, first), rows, held, tuning, GATE, seed=1).tuned.model
    equal = compare_arms(candidate, Start(first, first), rows, held, tuning, seed=1)
    better = compare_arms(candidate, Start(first, first), rows_of(samples, 1 - labels), held, tuning, seed=1)
    assert equal is not None
    assert equal.difference == 0
    assert better is not None
    assert better.difference > 3 * better.standard_error
    assert compare_arms(candidate, Start(first, first), rows_of([], labels[:0]), held, tuning, seed=1) is None
    one = Labelled(held.holdout.samples[:1], labels[:1])
    assert compare_arms(candidate, Start(first, first), rows, Held(one, one), tuning, seed=1) is None
