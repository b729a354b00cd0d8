"""The control arm of a run: the same fine-tune on other rows, compared with the first on the same holdout."""

import numpy as np
import torch

from importance.control_arm import Compared
from importance.evidence import paired_auc
from trainer import version_directory as versions
from trainer.cycle import Held, Start
from trainer.forward import predict
from trainer.judging import numbered
from trainer.memory import weights_of
from trainer.tasks import with_tasks
from trainer.tuning import FineTuning, Stop, TrainingRows, fine_tune
from trainer.tuning.retention import interpolated
from trainer.version_directory import Model

_MIN_OF_EACH = 2  # label, and subjects
_SMALLEST_ERROR = 1e-6  # of two models that order all alike


def compare_arms(
    first: Model,
    start: Start,
    rows: TrainingRows,
    held: Held,
    tuning: FineTuning,
    seed: int,
    stop: Stop | None = None,
    device: torch.device | None = None,
) -> Compared | None:
    """Fine-tune the base of ``start`` on ``rows`` as the first arm was; return the first's AUC minus the other's.

    None where there is nothing to train or compare on, or when it was stopped. The standard error is that between
    subjects, whose samples are not independent.
    """
    holdout = held.holdout
    labels = holdout.labels
    subjects = numbered(sample.subject for sample in holdout.samples)
    rarest = min(int((labels == 1).sum()), int((labels == 0).sum()), len(np.unique(subjects)))
    if not len(rows.samples) or rarest < _MIN_OF_EACH:
        return None
    tasks = tuning.optimisation.tasks.names
    base = with_tasks(versions.load(start.base, device, with_moments=True), tasks)
    tuned = fine_tune(base, rows, tuning, seed, stop=stop, validation=held.validation)
    if not tuned.finished:
        return None
    serving = with_tasks(versions.load(start.serving, device), tasks)
    other = interpolated(tuned.model, weights_of(serving), tuning.interpolation)
    found = paired_auc(labels, predict(first, holdout.samples), predict(other, holdout.samples), subjects)
    return Compared(found.difference, max(found.standard_error, _SMALLEST_ERROR))
