"""When a fine-tune ends by its validation losses, and with which weights."""

from dataclasses import replace
from math import inf, isfinite, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.sample import Sample
from tests.unit.trainer.tuning.cases import SMALL, parameters, rows_of, same
from trainer import version_directory as versions
from trainer.evaluation import evaluate
from trainer.forward import predict
from trainer.labelled import Labelled
from trainer.tuning import EarlyStop, Evaluations, FineTuning, fine_tune
from trainer.tuning.early_stop import best

LOSSES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, nan, inf]), max_size=12)


def stopping(every_steps: int, patience: int, steps: int) -> FineTuning:
    return replace(
        SMALL, steps=steps, optimisation=replace(SMALL.optimisation, early_stop=EarlyStop(every_steps, patience))
    )


@given(losses=LOSSES, patience=st.integers(1, 5))
def test_it_stops_at_the_first_evaluation_that_ends_so_many_in_vain(losses: list[float], patience: int) -> None:
    """Told by counting: each evaluation either is a new lowest one, or one more in vain."""
    lowest, in_vain, stop = inf, 0, EarlyStop(1, patience)
    for number, loss in enumerate(losses, start=1):
        in_vain = 0 if loss < lowest else in_vain + 1
        lowest = loss if loss < lowest else lowest
        assert stop.exhausted(losses[:number]) == (in_vain >= patience)


@given(losses=LOSSES)
def test_the_best_is_the_first_of_the_lowest_finite_losses(losses: list[float]) -> None:
    finite = [loss for loss in losses if isfinite(loss)]
    assert best(losses) == (losses.index(min(finite)) if finite else None)


@given(every=st.integers(1, 9), steps=st.integers(1, 40))
def test_every_so_many_steps_and_the_last_are_evaluated_and_named(every: int, steps: int) -> None:
    stop = EarlyStop(every)
    due = [step for step in range(1, steps + 1) if stop.due(step, steps)]
    assert due == sorted({*range(every, steps + 1, every), steps})
    for number, step in enumerate(due):
        losses = tuple(0.1 if other == number else 0.2 for other in range(len(due)))
        assert Evaluations(stop, losses, steps, steps).kept == step


def test_without_evaluations_nothing_stops() -> None:
    assert not EarlyStop().due(5, 5)
    assert not EarlyStop(1, 1).exhausted([])


@pytest.mark.parametrize(
    ("losses", "steps", "reason"),
    [
        ((0.5, 0.4), 8, "took all 8 steps; kept the weights of step 8, lowest validation loss 0.4000"),
        ((nan, nan), 8, "stopped at step 8 of 8, whose weights were kept: no validation loss was finite"),
    ],
)
def test_the_reason_names_the_step(losses: tuple[float, ...], steps: int, reason: str) -> None:
    assert Evaluations(EarlyStop(4, 2), losses, steps, 8).reason == reason


@pytest.mark.parametrize("wrong", [lambda: EarlyStop(-1), lambda: EarlyStop(1, 0)])
def test_an_impatient_stop_is_refused(wrong) -> None:
    with pytest.raises(InvalidInput, match="must be at least"):
        wrong()


def test_a_fine_tune_that_gets_worse_stops_and_keeps_the_best_weights(
    first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    """It learns the opposite of what it is validated by, so the first evaluation is the best one."""
    lies = rows_of(samples, 1 - labels)
    validation = Labelled(samples, labels)
    stopped = fine_tune(versions.load(first), lies, stopping(2, 3, 40), 1, validation=validation)
    assert (stopped.finished, stopped.steps, len(stopped.rows)) == (True, 8, 8 * 16)
    found = stopped.evaluations
    assert found is not None
    assert (found.kept, found.lowest) == (2, min(found.losses))
    assert found.reason.startswith("stopped at step 8 of 40: 3 validation losses in a row not below 0.")
    two = fine_tune(versions.load(first), lies, replace(SMALL, steps=2), 1)
    assert same(parameters(stopped.model), parameters(two.model))
    expected = evaluate(labels, predict(two.model, samples)).log_loss
    assert found.lowest == pytest.approx(expected, rel=1e-5)


def test_evaluations_do_not_change_the_steps(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    """The network has dropout, which an evaluation turns off; the last evaluation is the best."""
    turned = rows_of(samples, 1 - labels)
    without, empty = (
        fine_tune(versions.load(first), turned, stopping(2, 3, 10), 1, validation=given)
        for given in (None, Labelled([], labels[:0]))
    )
    assert (without.evaluations, empty.evaluations) == (None, None)
    judged = fine_tune(versions.load(first), turned, stopping(1, 10, 10), 1, validation=Labelled(samples, 1 - labels))
    assert judged.evaluations is not None
    assert judged.evaluations.kept == 10, judged.evaluations.losses
    assert same(parameters(without.model), parameters(judged.model))
