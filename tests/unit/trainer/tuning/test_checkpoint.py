"""A fine-tune that is cut at any step and continued from its files, by another object, is the same fine-tune."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from importance.errors import BadArtifact
from importance.sample import Sample
from tests.unit.trainer.tuning.cases import SMALL, parameters, rows_of, same
from trainer import version_directory as versions
from trainer.labelled import Labelled
from trainer.tuning import Checkpoints, EarlyStop, LoopState, TrainingLoop, Tuned, checkpoint, fine_tune
from trainer.tuning.increment import prepared

TUNING = replace(SMALL, steps=7)


class Killed(Exception):
    """Ends a fine-tune between two steps."""


@pytest.mark.parametrize("decay", [0.0, 0.6], ids=["last", "averaged"])
@pytest.mark.parametrize("early_stop", [EarlyStop(), EarlyStop(1, 2)], ids=["whole", "stops early"])
def test_a_fine_tune_killed_at_any_step_ends_with_the_same_weights(
    early_stop: EarlyStop, decay: float, first: Path, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    """Killed twice, at random steps; the built-in network has dropout."""

    def run(checkpoints: Checkpoints | None) -> Tuned:
        model = versions.load(first, with_moments=True)
        tuning = replace(TUNING, optimisation=replace(TUNING.optimisation, early_stop=early_stop, average_decay=decay))
        validation = Labelled(samples, labels)  # it learns the opposite
        return fine_tune(
            model, rows_of(samples, 1 - labels), tuning, seed=1, checkpoints=checkpoints, validation=validation
        )

    whole = run(None)
    left: LoopState | None = None
    for step in sorted(Random(2).sample(range(1, whole.steps + 1), 2)):

        def keep(state: LoopState, step: int = step) -> None:
            if state.steps == step:
                checkpoint.save(state, tmp_path / f"{step}")
                raise Killed

        with pytest.raises(Killed):
            run(Checkpoints(1, keep, left))
        left = checkpoint.load(tmp_path / f"{step}")
    kept: list[int] = []
    resumed = run(Checkpoints(3, lambda state: kept.append(state.steps), left))
    assert kept == [steps for steps in (3, 6) if left is not None and left.steps < steps <= whole.steps]
    assert same(parameters(whole.model), parameters(resumed.model))
    assert whole.model.moments is not None
    assert resumed.model.moments is not None
    assert same(whole.model.moments, resumed.model.moments)
    assert (whole.steps, whole.loss, resumed.finished) == (resumed.steps, resumed.loss, True)
    assert whole.evaluations == resumed.evaluations
    assert decay or (whole.steps < TUNING.steps) == (early_stop != EarlyStop())  # an average lags
    np.testing.assert_array_equal(whole.met, resumed.met)
    np.testing.assert_array_equal(whole.right, resumed.right)


def test_a_damaged_file_of_a_checkpoint_is_refused(
    first: Path, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    model = versions.load(first, with_moments=True)
    data = prepared(model, rows_of(samples, labels), TUNING, 1)
    state = TrainingLoop(model, data, TUNING.optimisation, 1).state()
    directory = checkpoint.save(state, tmp_path / "state")
    files = sorted(directory.iterdir())
    assert [file.name for file in files] == ["state.json", "state.safetensors"]
    assert checkpoint.load(directory).steps == 0
    for file in files:
        whole = file.read_bytes()
        for damaged in (b"", whole[:-1], whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], b"{}"):
            file.write_bytes(damaged)
            with pytest.raises(BadArtifact, match=r"state\.(json|safetensors)"):
                checkpoint.load(directory)
        file.unlink()
        with pytest.raises(BadArtifact, match="does not load"):
            checkpoint.load(directory)
        file.write_bytes(whole)
    assert same(state.weights, checkpoint.load(directory).weights)
