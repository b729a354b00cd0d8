"""Fine-tune a version in the processes that torchrun starts: VERSION OUT. The first one saves the result."""

import sys
from pathlib import Path

import numpy as np
from torch import distributed

from tests.unit.trainer.conftest import labels_of, shop
from trainer import version_directory as versions
from trainer.device import use_threads
from trainer.tuning import FineTuning, Optimisation, TrainingRows, Tuned, fine_tune
from trainer.tuning.methods import method


def tuned(version: Path, name: str) -> Tuned:
    """The fine-tune that is compared: batches of 15 do not divide by two, and weights differ."""
    samples = shop(120)
    rows = TrainingRows(samples, labels_of(samples), np.linspace(0.2, 1.8, 120), np.arange(120) >= 60)
    tuning = FineTuning(8, optimisation=Optimisation(15, method=method(name, 4)))
    return fine_tune(versions.load(version, with_moments=True), rows, tuning, seed=1)


def main() -> None:
    use_threads(1)
    distributed.init_process_group("gloo")
    version, into = map(Path, sys.argv[1:])
    for name in ("full", "adalora"):
        result = tuned(version, name)
        if distributed.get_rank() == 0:
            versions.save(result.model, into / name)
            (into / name / "right").write_bytes(result.right.tobytes())
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
