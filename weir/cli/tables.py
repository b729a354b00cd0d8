"""What most commands of the operator open: the tables of models and training, by the settings of this process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.engine import Engine
    from storage.registry import Registry
    from storage.runs import Runs
    from weir.operations import Operations
    from weir.settings import Settings


@dataclass(frozen=True)
class Tables:
    """The tables of models and training, and the settings by which they were opened."""

    engine: "Engine"
    registry: "Registry"
    runs: "Runs"
    settings: "Settings"

    def operations(self) -> "Operations":
        """Return what changes them, warning on standard error. Loads a Kafka client: 0.4 s, spent before the change."""
        from storage.artifacts import Artifacts
        from storage.audit import Via
        from weir.operations import Operations, announcer

        artifacts = Artifacts(self.settings.artifacts_url)
        announce = announcer(self.settings, self.registry, self._warn_unannounced)
        return Operations(self.engine, artifacts, _warn, Via.CLI, announce)

    def _warn_unannounced(self, problem: str) -> None:
        wait = f"workers and apis see it within {self.settings.models_poll_seconds:g} s by themselves"
        _warn(f"not announced ({problem}); {wait}")


@contextmanager
def opened() -> Iterator[Tables]:
    """Open the tables of models and training for the length of a block."""
    from storage.engine import create_engine
    from storage.registry import Registry
    from storage.runs import Runs
    from weir.demo.addresses import located
    from weir.settings import read

    settings = located(read(), database=True)
    engine = create_engine(settings.database_url, pool_size=1)
    try:
        yield Tables(engine, Registry(engine), Runs(engine), settings)
    finally:
        engine.dispose()


def _warn(text: str) -> None:
    print(f"weir: {text}", file=sys.stderr)
