"""Steps, and the state between two of them."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from importance.errors import InvalidInput
from importance.sample import Sample
from tests.unit.trainer.conftest import ARCHITECTURES, hugging_face_directory
from tests.unit.trainer.tuning.cases import SMALL, parameters, rows_of, same, without_dropout
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.labelled import Labelled
from trainer.tuning import EarlyStop, TrainingLoop, checkpoint, fine_tune
from trainer.tuning.increment import prepared
from trainer.tuning.methods import METHODS, method


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("bert", "full"), *((None, name) for name in METHODS)],
    ids=lambda part: part or "built-in",
)
def test_steps_split_by_a_state_are_the_same_steps(
    architecture: str | None, name: str, first: Path, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    """The networks have dropout, the state goes through a file, and the second loop starts from the version again."""
    directory = first
    if architecture is not None:
        source = hugging_face_directory(tmp_path / "source", ARCHITECTURES[architecture](1))
        directory = from_pretrained(str(source), tmp_path / "version")
    whole, interrupted, continued = (loop_of(directory, samples, labels, name) for _ in range(3))
    for _ in range(7):
        whole.step()
    for _ in range(3):
        interrupted.step()
    state = checkpoint.load(checkpoint.save(interrupted.state(), tmp_path / "state"))
    interrupted.step()  # what happens after a state was taken does not change it
    torch.rand(3)
    continued.restore(state)
    while not continued.finished:
        continued.step()
    expected, result = whole.result(), continued.result()
    assert same(parameters(expected.model), parameters(result.model))
    assert expected.model.moments is not None
    assert result.model.moments is not None
    assert same(expected.model.moments, result.model.moments)
    assert expected.evaluations is not None
    assert expected.evaluations == result.evaluations
    assert (expected.steps, expected.loss, expected.finished) == (result.steps, result.loss, result.finished)
    np.testing.assert_array_equal(expected.met, result.met)
    np.testing.assert_array_equal(expected.right, result.right)


@pytest.mark.parametrize("wrong", ["steps", "weights"])
def test_a_state_of_another_fine_tune_is_refused(
    wrong: str, first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    loop = loop_of(first, samples, labels)
    change = {"steps": 8, "weights": {"final.bias": torch.zeros(1)}}[wrong]
    with pytest.raises(InvalidInput, match="start the fine-tune again"):
        loop.restore(replace(loop.state(), **{wrong: change}))


@pytest.mark.parametrize("change", [{"micro_batches": 4}, {"micro_batches": 5}, {"recompute": True}], ids=str)
def test_how_a_batch_is_computed_does_not_matter(
    change: dict[str, Any], samples: list[Sample], labels: np.ndarray
) -> None:
    model = without_dropout(samples)
    one, other = (
        fine_tune(
            replace(model, network=deepcopy(model.network)),
            rows_of(samples, labels, np.linspace(0, 2, len(samples))),
            replace(SMALL, steps=1, optimisation=replace(SMALL.optimisation, **options)),
            seed=1,
        )
        for options in ({}, change)
    )
    assert one.model.moments is not None
    assert other.model.moments is not None
    for name, moment in one.model.moments.items():  # Adam makes a step of the sign of a gradient, however small that is
        torch.testing.assert_close(other.model.moments[name], moment, rtol=0, atol=1e-6)
    assert other.loss == pytest.approx(one.loss, rel=1e-5)
    np.testing.assert_array_equal(other.right, one.right)


def test_bfloat16_is_of_the_computation_only(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    exact, rounded = (
        fine_tune(versions.load(first), rows_of(samples, labels), replace(SMALL, optimisation=optimisation), seed=1)
        for optimisation in (SMALL.optimisation, replace(SMALL.optimisation, bfloat16=True))
    )
    assert not same(parameters(exact.model), parameters(rounded.model))
    assert rounded.loss == pytest.approx(exact.loss, rel=0.02)
    assert {weight.dtype for weight in parameters(rounded.model).values()} == {torch.float32}


def loop_of(directory: Path, samples: list[Sample], labels: np.ndarray, name: str = "full") -> TrainingLoop:
    model, optimisation = (
        versions.load(directory, with_moments=True),
        replace(SMALL.optimisation, method=method(name, 2), average_decay=0.9, early_stop=EarlyStop(2, 9)),
    )
    tuning = replace(SMALL, steps=7, optimisation=optimisation)
    data = prepared(model, rows_of(samples, labels), tuning, 1, Labelled(samples, labels))
    return TrainingLoop(model, data, optimisation, 1)
