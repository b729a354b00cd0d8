"""The version that scores a file: a folder, one of the registry, or, where there is none, one made for it."""

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
"""How the name begins of a version that is made where there is none."""
_FIRST_NAME = re.compile(rf"{FIRST}-[0-9a-f]{{8}}")

_MADE_WITH = {
    "model", "seed", "salt", "holdout_share", "uniform_share", "positive_from", "learning_rate", "gradient_fallback",
}  # fmt: skip


def find(settings: Settings, wanted: str | None, progress: OnProgress) -> tuple[str, Model]:
    """The name and model of a folder, of a version's name or of one made here; by default of the one that serves.

    Where nothing serves yet, or no database is known, it is the one that ``weir models init`` would make, kept under
    ``WEIR_HOME`` for the next time.
    """
    use_threads(settings.threads)
    sweep()
    with scratch("score") as into:
        name, folder = _folder(settings, wanted, into, progress)
        return name, versions.load(folder, choose(settings.device), with_auxiliary=True)


def _folder(settings: Settings, wanted: str | None, into: Path, progress: OnProgress) -> tuple[str, Path]:
    if wanted is not None and Path(wanted).expanduser().is_dir():
        folder = Path(wanted).expanduser()
        if versions.is_version(folder):
            return wanted, folder
        return wanted, from_pretrained(wanted, into / "taken", gradient_fallback=settings.gradient_fallback)
    if wanted is not None and _FIRST_NAME.fullmatch(wanted):
        return wanted, _made(settings, wanted)
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
    """The first version that these settings make: of another model, salt or label rule it is another one."""
    of_it = complete_journey.NAME + settings.model_dump_json(include=_MADE_WITH)
    name = f"{FIRST}-{sha256(of_it.encode()).hexdigest()[:8]}"
    kept = _kept(settings, name)
    if not versions.is_version(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        sweep(kept.parent)
        with scratch("making", kept.parent) as into:  # in there, so that the version can be renamed into its place
            history = partial(dataset_history, settings, complete_journey.NAME, progress)
            made = build_first(settings, history, into, progress)
            try:
                made.folder.rename(kept)
            except OSError:
                if not versions.is_version(kept):  # else another process was faster
                    raise
    return name, kept


def _made(settings: Settings, name: str) -> Path:
    """Where a version lies that was made here; NotFound for another one."""
    folder = _kept(settings, name)
    if not versions.is_version(folder):
        raise NotFound(
            f"no {name} was made under {settings.home}: leave --model out to make one, or set WEIR_HOME to where it was"
        )
    return folder


def _kept(settings: Settings, name: str) -> Path:
    return settings.home / "models" / name


@contextmanager
def _registry(settings: Settings) -> Iterator[Registry]:
    engine = create_engine(settings.database_url, pool_size=1)
    try:
        yield Registry(engine)
    finally:
        engine.dispose()
