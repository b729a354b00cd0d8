"""Increments: which rows, which weights, and what is kept."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from importance.errors import InvalidInput
from importance.sample import Sample
from tests.unit.trainer.conftest import ARCHITECTURES, hugging_face_directory
from tests.unit.trainer.tuning.cases import SMALL, parameters, rows_of, same
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.evaluation import evaluate
from trainer.forward import run
from trainer.tuning import FineTuning, Optimisation, fine_tune
from trainer.version_directory import Model


def test_the_same_seed_gives_the_same_model_and_another_one_does_not(
    first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    results = []
    for seed in (1, 1, 2):
        torch.rand(3)  # what others drew from the global generator must not matter
        model = versions.load(first, with_moments=True)
        results.append(parameters(fine_tune(model, rows_of(samples, labels), SMALL, seed).model))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_training_leaves_the_global_generator_alone(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    model = versions.load(first)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fine_tune(model, rows_of(samples, labels), SMALL, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_adam_goes_on_where_it_stopped(first: Path, samples: list[Sample], labels: np.ndarray, tmp_path: Path) -> None:
    model = versions.load(first, with_moments=True)
    assert model.moments is not None
    steps_before = int(model.moments["final.weight.step"])
    tuned = fine_tune(model, rows_of(samples, labels), SMALL, seed=1).model
    again = versions.load(versions.save(tuned, tmp_path / "v"), with_moments=True)
    assert again.moments is not None
    assert int(again.moments["final.weight.step"]) == steps_before + 4
    fresh = fine_tune(versions.load(first), rows_of(samples, labels), SMALL, seed=1).model
    assert not same(parameters(fresh), parameters(tuned))


def test_training_in_two_sittings_through_files_is_training_in_one(
    untrained: Model, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    start = versions.save(untrained, tmp_path / "start")
    one = versions.load(start)
    one = fine_tune(one, rows_of(samples, labels), SMALL, seed=1).model
    one = fine_tune(one, rows_of(samples, labels), SMALL, seed=2).model
    two = fine_tune(versions.load(start), rows_of(samples, labels), SMALL, seed=1).model
    two = versions.load(versions.save(two, tmp_path / "middle"), with_moments=True)
    two = fine_tune(two, rows_of(samples, labels), SMALL, seed=2).model
    assert same(parameters(one), parameters(two))


def test_a_fine_tuned_model_is_ready_to_predict(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    tuned = fine_tune(versions.load(first), rows_of(samples, labels), SMALL, seed=1).model
    encoded = tuned.tokens.encode(samples)
    np.testing.assert_array_equal(run(tuned, encoded).prediction, run(tuned, encoded).prediction)


def test_rows_of_weight_zero_teach_nothing(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    weights = (np.arange(len(samples)) % 2).astype(float)
    flipped = np.where(weights == 0, 1 - labels, labels)
    models = [
        fine_tune(versions.load(first), rows_of(samples, given_labels, weights), SMALL, seed=1).model
        for given_labels in (labels, flipped)
    ]
    assert same(*map(parameters, models))


def test_a_model_follows_a_world_that_turned_round(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    model = versions.load(first, with_moments=True)
    encoded = model.tokens.encode(samples)
    before = evaluate(1 - labels, run(model, encoded).prediction).auc
    tuned = fine_tune(model, rows_of(samples, 1 - labels), FineTuning(steps=120), seed=1)
    assert before < 0.3
    assert evaluate(1 - labels, run(tuned.model, encoded).prediction).auc > 0.7


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("outputs", [1, 2])
def test_every_architecture_learns(
    architecture: str, outputs: int, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES[architecture](outputs))
    model = versions.load(from_pretrained(str(source), tmp_path / "version"))
    before = parameters(model)
    tuned = fine_tune(model, rows_of(samples, labels), SMALL, seed=1)
    assert np.isfinite(tuned.loss)
    assert not same(before, parameters(tuned.model))


@pytest.mark.parametrize(
    ("architecture", "asked", "rate"),
    [
        pytest.param(None, None, 1e-3, id="the built-in network"),
        pytest.param("bert", None, 1e-4, id="one that was trained before"),
        pytest.param("bert", 1e-2, 1e-2, id="as asked for"),
    ],
)
def test_the_first_step_is_as_long_as_the_learning_rate_of_the_network(
    first: Path,
    samples: list[Sample],
    labels: np.ndarray,
    tmp_path: Path,
    architecture: str | None,
    asked: float | None,
    rate: float,
) -> None:
    """Adam's first step is the rate, whatever the gradient; weight decay adds a hundredth of it and of the weight."""
    directory = first
    if architecture is not None:
        source = hugging_face_directory(tmp_path / "source", ARCHITECTURES[architecture](1))
        directory = from_pretrained(str(source), tmp_path / "version")
    model = versions.load(directory)
    before = parameters(model)
    once = FineTuning(steps=1, optimisation=Optimisation(batch_size=16, learning_rate=asked))
    after = parameters(fine_tune(model, rows_of(samples, labels), once, seed=1).model)
    longest = max(float((after[name] - before[name]).abs().max()) for name in before)
    assert longest == pytest.approx(rate, rel=0.05)


def test_progress_is_reported_after_each_step(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    tuned = fine_tune(
        versions.load(first), rows_of(samples, labels), SMALL, 1, progress=lambda done, of, _: told.append((done, of))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert tuned.finished


def test_a_fine_tune_ends_between_two_steps_when_it_is_reported_to(
    first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    stop = Event()
    tuned = fine_tune(
        versions.load(first), rows_of(samples, labels), SMALL, 1, progress=lambda *_: stop.set(), stop=stop.is_set
    )
    assert (tuned.steps, tuned.finished) == (1, False)


def test_an_empty_buffer_is_refused(first: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing to train on"):
        fine_tune(versions.load(first), rows_of([], np.empty(0, np.int64)), SMALL, 1)
