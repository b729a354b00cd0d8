"""The version that scores a file: from a directory, from the registry, or, without any, created for it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

from datasets import complete_journey
from importance.callbacks import OnProgress
from importance.errors import InvalidInput, NotFound
from storage.artifacts import Artifacts
from storage.engine import create_engine
from storage.registry import Registry
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.device import choose, use_threads
from trainer.version_directory import Model
from weir.demo.addresses import located
from weir.learning.first_version import build_first, dataset_history
from weir.process.scratch import scratch, sweep
from weir.settings import Settings

FIRST = "first"
"""The prefix of the names of versions that are created here."""
_FIRST_NAME = re.compile(rf"{FIRST}-[0-9a-f]{{8}}")

_MADE_WITH = {
    "model", "seed", "salt", "holdout_share", "uniform_share", "positive_from", "learning_rate", "gradient_fallback",
}  # fmt: skip


def find(settings: Settings, wanted: str | None, progress: OnProgress) -> tuple[str, Model]:
    """Return name and model of ``wanted``: a directory, a version's name, or a first version created here.

    By default it is the active version. Without one, or without a database, it is the version that
    ``weir models init`` would create, which is kept under ``WEIR_HOME`` for the next time.
    """
    use_threads(settings.threads)
    sweep()
    with scratch("score") as into:
        name, directory = _version_directory(settings, wanted, into, progress)
        return name, versions.load(directory, choose(settings.device), with_auxiliary=True)


def _version_directory(settings: Settings, wanted: str | None, into: Path, progress: OnProgress) -> tuple[str, Path]:
    if wanted is not None and Path(wanted).expanduser().is_dir():
        directory = Path(wanted).expanduser()
        if versions.is_version(directory):
            return wanted, directory
        return wanted, from_pretrained(wanted, into / "taken", gradient_fallback=settings.gradient_fallback)
    if wanted is not None and _FIRST_NAME.fullmatch(wanted):
        return wanted, _existing_first(settings, wanted)
    settings = located(settings)
    if settings.database_url:
        with _registry(settings) as registry:
            active = registry.active()
            name = wanted or (active and active.version)
            if name:
                found = registry.version(name)
                return name, Artifacts(settings.artifacts_url).fetch(found.artifact, found.sha256, into)
    if wanted is not None:
        raise InvalidInput(
            f"model {wanted!r} is not a directory, and no database is known to look it up in: set WEIR_DATABASE_URL"
        )
    return _first(settings, progress)


def _first(settings: Settings, progress: OnProgress) -> tuple[str, Path]:
    """Return the first version of these settings, created where it is missing; its name has a hash of the settings."""
    inputs = complete_journey.NAME + settings.model_dump_json(include=_MADE_WITH)
    name = f"{FIRST}-{sha256(inputs.encode()).hexdigest()[:8]}"
    kept = _first_directory(settings, name)
    if not versions.is_version(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        sweep(kept.parent)
        with scratch("making", kept.parent) as into:  # on the same file system, so that it can be renamed
            history = partial(dataset_history, settings, complete_journey.NAME, progress)
            made = build_first(settings, history, into, progress)
            try:
                made.directory.rename(kept)
            except OSError:
                if not versions.is_version(kept):  # else another process was faster
                    raise
    return name, kept


def _existing_first(settings: Settings, name: str) -> Path:
    """Return the directory of a version that was created here; raise NotFound for another one."""
    directory = _first_directory(settings, name)
    if not versions.is_version(directory):
        raise NotFound(
            f"no {name} was made under {settings.home}: leave --model out to make one, or set WEIR_HOME to where it was"
        )
    return directory


def _first_directory(settings: Settings, name: str) -> Path:
    return settings.home / "models" / name


@contextmanager
def _registry(settings: Settings) -> Iterator[Registry]:
    engine = create_engine(settings.database_url, pool_size=1)
    try:
        yield Registry(engine)
    finally:
        engine.dispose()
