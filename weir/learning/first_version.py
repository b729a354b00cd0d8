"""``weir models init``: the first version, trained on history or a given base model, registered and promoted."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from datasets import Dataset, open_dataset
from importance import strata
from importance.callbacks import OnProgress
from importance.errors import Conflict, InvalidInput
from importance.lineage import Lineage
from importance.sample import Sample, label
from storage.artifacts import Artifacts
from storage.registry import Entry, Registry
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, from_pretrained, train_first
from trainer.device import choose, use_threads
from trainer.evaluation import evaluate
from trainer.forward import predict
from trainer.labelled import Labelled
from trainer.memory import mean_importance
from trainer.tuning import Optimisation
from weir.learning.lineage import first_lineage
from weir.operations import Operations
from weir.process.actor import this_user
from weir.process.scratch import scratch
from weir.settings import Settings, values

ReadHistory = Callable[[], list[Sample]]
"""Reads the training data of the first version."""
BUILTIN = "builtin"


def dataset_for(settings: Settings, name: str, progress: OnProgress) -> Dataset:
    """Open the data set of that name, by the settings."""
    return open_dataset(name, settings.seed, settings.data_dir, settings.home, progress)


def dataset_history(settings: Settings, name: str, progress: OnProgress) -> list[Sample]:
    """Return the samples of a data set from before its stream starts."""
    return list(dataset_for(settings, name, progress).history())


@dataclass(frozen=True, slots=True)
class First:
    """The directory of a first version, and the history of the holdout's subjects, which it was not trained on.

    ``made_of`` is None where it was not trained.
    """

    directory: Path
    holdout: list[Sample]
    made_of: Lineage | None = None


def make_first(
    settings: Settings,
    registry: Registry,
    operations: Operations,
    read_history: ReadHistory | None,
    progress: OnProgress,
) -> Entry:
    """Create, register and promote version 1; the history is read only where there is no version yet."""
    if registry.active() is not None:
        raise Conflict("there is a model already: see 'weir models list'")
    with scratch("first") as directory:
        first = build_first(settings, read_history, directory, progress)
        model = versions.load(first.directory, choose(settings.device))
        metrics: dict[str, object] = {"gate": "the first version: no gate"}
        labels = _labels(first.holdout, settings)
        if len(set(labels.tolist())) == 2:
            metrics |= asdict(evaluate(labels, predict(model, first.holdout)))
        means = mean_importance(model)
        version = registry.new_version()
        artifact, sha256 = Artifacts(settings.artifacts_url).save(version, first.directory)
    registry.register(version, artifact, sha256, metrics=metrics, statistics={"mean_importance": means},
                      made_of=first.made_of)  # fmt: skip
    return operations.promote_new(version, actor=this_user(), reason="the first version")


def build_first(settings: Settings, read_history: ReadHistory | None, into: Path, progress: OnProgress) -> First:
    """Build the first version in a directory below ``into``.

    The built-in model is trained on the history from scratch, another model of `WEIR_MODEL` from its weights; without
    a history it is used as it is. Subjects of the holdout are left out of the training.
    """
    if settings.model == BUILTIN and read_history is None:
        raise InvalidInput("the built-in model needs a data set to be trained on: name one, or set WEIR_MODEL")
    use_threads(settings.threads)
    history = read_history() if read_history else []
    training, uniform, holdout = _divided(history, settings)
    base = None
    if settings.model != BUILTIN:
        base = from_pretrained(
            settings.model, into / "base", settings.seed, gradient_fallback=settings.gradient_fallback
        )
    if not training:
        assert base is not None
        return First(base, holdout)
    first = FirstTraining(optimisation=Optimisation(learning_rate=settings.learning_rate))
    directory = train_first(
        Labelled(training, _labels(training, settings)),
        into / "version",
        Labelled(uniform, _labels(uniform, settings)),
        first,
        settings.seed,
        base,
        choose(settings.device),
        lambda done, total, _: progress("training the first model", done, total),
    )
    made_of = first_lineage(training, first.epochs, uniform, values.pseudonyms(settings))
    return First(directory, holdout, made_of)


def _divided(history: list[Sample], settings: Settings) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Divide the history into samples to train on, those of them in the stratum uniform, and the holdout's samples."""
    policy = values.strata(settings)
    ids, subjects = [sample.id for sample in history], [sample.subject for sample in history]
    assigned = strata.assign(ids, subjects, [0] * len(history), policy)
    pairs = list(zip(history, assigned, strict=True))
    return (
        [sample for sample, stratum in pairs if stratum != strata.HOLDOUT],
        [sample for sample, stratum in pairs if stratum == strata.UNIFORM],
        [sample for sample, stratum in pairs if stratum == strata.HOLDOUT],
    )


def _labels(samples: list[Sample], settings: Settings) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    positive_from = values.positive_from(settings)
    return np.array([label(sample.actions, positive_from) for sample in samples], dtype=np.int64)
