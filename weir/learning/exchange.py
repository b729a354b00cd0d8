"""``weir models export|card|import``: versions as directories of transformers, and back."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from importance.checksums import sha256_of
from importance.errors import BadArtifact, InvalidInput
from importance.strata import HOLDOUT, UNIFORM
from storage.artifacts import Artifacts
from storage.buffer_reader import BufferReader
from storage.registry import Kind, Registry, Version
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.device import choose, use_threads
from trainer.evaluation import evaluate
from trainer.exchange.card import CardFacts, model_card
from trainer.exchange.export import export
from trainer.forward import predict
from trainer.labelled import Labelled
from trainer.memory import mean_importance, measured
from trainer.tasks import evaluate_tasks
from weir.learning.validation import split_holdout
from weir.process.scratch import refused, refuses, scratch
from weir.settings import Settings


def export_version(settings: Settings, registry: Registry, name: str, into: Path) -> None:
    """Write a version as a directory of transformers; raise InvalidInput where there is something already."""
    found = registry.version(name)
    with scratch("export") as directory:
        files = _fetched(settings, found, directory)
        export(versions.load(files), into, _card(registry, found, files))


def card_of(settings: Settings, registry: Registry, name: str) -> str:
    """Return the model card of a version, in Markdown; builds no network.

    Raises BadArtifact when its files are not as registered, StoreUnavailable when the local disk takes no files.
    """
    found = registry.version(name)
    try:
        with scratch("card") as directory:
            return _card(registry, found, _fetched(settings, found, directory))
    except OSError as error:
        if refuses(error):
            raise refused(error) from error
        raise


def import_version(settings: Settings, registry: Registry, reader: BufferReader, source: str) -> str:
    """Register a model of transformers, or an exported version, as a candidate; return its name.

    It is judged on the samples of the buffer's holdout that the gate judges by, and measured on the stratum uniform, as
    far as the buffer has samples of them.
    A version that has the same weights becomes its parent: what that learned from, this one did.
    Raises BadArtifact and InvalidInput, as `from_pretrained` does, and InvalidInput where there is no first version.
    """
    if registry.first_version() is None:
        raise InvalidInput("there is no first version yet: run 'weir models init', which takes WEIR_MODEL")
    use_threads(settings.threads)
    (_, holdout), uniform = split_holdout(reader.draw((HOLDOUT,)), settings), reader.draw((UNIFORM,))
    with scratch("import") as directory:
        taken = from_pretrained(
            source, directory / "taken", settings.seed, gradient_fallback=settings.gradient_fallback
        )
        model = measured(versions.load(taken, choose(settings.device)), Labelled(uniform.samples, uniform.label))
        metrics: dict[str, object] = {"gate": f"imported from {source}: no gate"}
        if len(set(holdout.label.tolist())) == 2:
            metrics |= asdict(evaluate(holdout.label, predict(model, holdout.samples)))
        if by_task := evaluate_tasks(model, holdout.samples):
            metrics["tasks"] = {task: asdict(of) for task, of in by_task.items()}
        name, store = registry.new_version(), Artifacts(settings.artifacts_url)
        parent = _with_weights(registry, store, sha256_of(directory / "taken" / versions.WEIGHTS))
        stored = store.save(name, versions.save(model, directory / "version"))
    statistics = {"mean_importance": mean_importance(model)}
    registry.register(name, *stored, parent=parent, metrics=metrics, statistics=statistics)
    return name


def _with_weights(registry: Registry, store: Artifacts, sha256: str) -> str | None:
    """Return the first version with these weights; one whose files are damaged is passed over."""
    for version in registry.versions():
        with suppress(BadArtifact):
            if store.sha256_of(version.artifact, version.sha256, versions.WEIGHTS) == sha256:
                return version.version
    return None


def _fetched(settings: Settings, version: Version, directory: Path) -> Path:
    return Artifacts(settings.artifacts_url).fetch(version.artifact, version.sha256, directory)


def _card(registry: Registry, version: Version, files: Path) -> str:
    card, parameters = versions.outline(files)
    log = [
        f"{entry.time:%Y-%m-%d %H:%M:%S} UTC, {entry.kind} by {entry.actor}: {entry.reason}"
        for entry in registry.log(version.version)
        if entry.kind in (Kind.PROMOTE, Kind.ROLLBACK)
    ]
    facts = CardFacts(
        version=version.version,
        kind=card.kind,
        parameters=parameters,
        max_tokens=card.max_tokens,
        created=version.created,
        state=version.state,
        line=_line(registry, version),
        metrics=version.metrics,
        log=log,
        sha256=version.sha256,
        tasks=card.tasks,
    )
    return model_card(facts)


def _line(registry: Registry, version: Version) -> list[str]:
    """Return the ancestors of a version, its parent first."""
    parents = {each.version: each.parent for each in registry.versions()}
    line: list[str] = []
    at = version.parent
    while at is not None:
        line.append(at)
        at = parents[at]
    return line
