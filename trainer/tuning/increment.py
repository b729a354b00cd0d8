"""A fine-tune: draw the batches, encode their samples once, and take the steps until they are done or it must stop."""

from collections.abc import Callable

import numpy as np

from importance.errors import InvalidInput
from importance.task_labels import task_labels
from trainer.labelled import Labelled
from trainer.tuning.batches import TrainingBatches, mixed_batches
from trainer.tuning.checkpoint import Checkpoints
from trainer.tuning.group import Group, Work, group
from trainer.tuning.loop import TrainingLoop, Tuned
from trainer.tuning.optimisation import FineTuning, Optimisation
from trainer.tuning.retention import logits_of
from trainer.tuning.rows import TrainingRows
from trainer.tuning.validation import Validation
from trainer.version_directory import Model

Progress = Callable[[int, int, float], None]
"""Called after each step with the steps done, the steps in all, and the step's mean loss in nats."""

Stop = Callable[[], bool]
"""Asked before each step whether to end."""


def fine_tune(
    model: Model,
    rows: TrainingRows,
    tuning: FineTuning,
    seed: int,
    progress: Progress | None = None,
    stop: Stop | None = None,
    checkpoints: Checkpoints | None = None,
    validation: Labelled | None = None,
) -> Tuned:
    """Train ``model``, in place, on ``rows``: half fresh and half older, each drawn uniformly without replacement.

    The same seed, model, rows and ``validation`` samples, which an early stop is decided by, give the same weights.
    The seed must not depend on keys of the buffer's draw. The model has the logits of ``tuning``'s tasks
    (`trainer.tasks.with_tasks`). Where ``tuning`` wants several processes, each loads it from its directory; the
    weights are then those of one process up to rounding and dropout. Raises `FineTuneFailed` when one ends.
    """
    data = prepared(model, rows, tuning, seed, validation)
    if tuning.processes == 1:
        return train(model, data, tuning.optimisation, seed, progress, stop, checkpoints)
    resumed = None if checkpoints is None else checkpoints.resumed
    with group(tuning.processes, Work.of(model, data, tuning.optimisation, seed), resumed, stop) as found:
        return train(model, data, tuning.optimisation, seed, progress, stop, checkpoints, found)


def prepared(
    model: Model, rows: TrainingRows, tuning: FineTuning, seed: int, validation: Labelled | None = None
) -> TrainingBatches:
    """Return the batches of a fine-tune, drawn by ``seed``, with the samples that they use encoded."""
    if not len(rows.samples):
        raise InvalidInput("there is nothing to train on: the buffer holds no training rows")
    batches = list(mixed_batches(rows.fresh, tuning, np.random.default_rng(seed)))
    used, positions = np.unique(np.concatenate(batches), return_inverse=True)
    samples = [rows.samples[row] for row in used]
    encoded = model.tokens.encode(samples)
    split = np.split(positions, np.cumsum([len(batch) for batch in batches])[:-1])
    stored = None
    if rows.predictions is not None:
        stored = np.where(rows.fresh, np.nan, logits_of(rows.predictions))[used]
    judged = None
    if validation is not None and len(validation) and tuning.optimisation.early_stop.every_steps:
        judged = Validation(model.tokens.encode(validation.samples), validation.labels)
    tasks = tuning.optimisation.tasks.names[1:]
    further = task_labels(samples, tasks) if tasks else None
    return TrainingBatches(encoded, rows.labels[used], rows.weights[used], split, used, stored, judged, further)


def train(
    model: Model,
    data: TrainingBatches,
    optimisation: Optimisation,
    seed: int,
    progress: Progress | None = None,
    stop: Stop | None = None,
    checkpoints: Checkpoints | None = None,
    group: Group | None = None,
) -> Tuned:
    """Take one step for each batch, unless it stops early, in place of the model; ``stop``, asked before each, ends it.

    With ``checkpoints`` it continues where another one ended, to the same weights, and keeps its state now and then.
    The further processes of a ``group`` make the same steps.
    """
    group = group or Group()
    loop = TrainingLoop(model, data, optimisation, seed, group.processes)
    if checkpoints is not None and checkpoints.resumed is not None:
        loop.restore(checkpoints.resumed)
    loop.check()
    while not loop.finished and not (stop is not None and stop()):
        group.step()
        loss = loop.step()
        if progress is not None:
            progress(loop.steps, len(data.batches), loss)
        if checkpoints is not None and checkpoints.after(loop.steps):
            checkpoints.keep(loop.state())
    return loop.result()
