"""The control arm of a run: the same fine-tune on other rows, compared with the first on the same holdout."""

from pathlib import Path
from threading import Event

import numpy as np
import torch

from importance.control_arm import Compared
from importance.evidence import paired_auc
from trainer import version_directory as versions
from trainer.forward import predict
from trainer.judging import numbered
from trainer.labelled import Labelled
from trainer.tuning import FineTuning, TrainingRows, fine_tune
from trainer.version_directory import Model

_MIN_OF_A_LABEL = 2
_SMALLEST_ERROR = 1e-6  # of two models that order all alike


def compare_arms(
    first: Model,
    base: Path,
    rows: TrainingRows,
    holdout: Labelled,
    tuning: FineTuning,
    seed: int,
    stop: Event | None = None,
    device: torch.device | None = None,
) -> Compared | None:
    """Fine-tune the base on ``rows`` as the first arm was on its own; return the first's AUC minus the other's.

    None where there is nothing to train or compare on, or when it was stopped. The standard error is that between
    subjects, whose samples are not independent.
    """
    labels = holdout.labels
    if not len(rows.samples) or min(int((labels == 1).sum()), int((labels == 0).sum())) < _MIN_OF_A_LABEL:
        return None
    other = fine_tune(versions.load(base, device, with_moments=True), rows, tuning, seed, stop=stop)
    subjects = numbered(sample.subject for sample in holdout.samples)
    if not other.finished or len(np.unique(subjects)) < _MIN_OF_A_LABEL:
        return None
    found = paired_auc(labels, predict(first, holdout.samples), predict(other.model, holdout.samples), subjects)
    return Compared(found.difference, max(found.standard_error, _SMALLEST_ERROR))
