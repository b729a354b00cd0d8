"""The local stack: the servers that were not given, the roles, and their common directory."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from weir.local.install import Tools
from weir.local.kafka import KafkaServer
from weir.local.postgres import PostgresServer, reachable_by_nobody
from weir.local.process import Child
from weir.local.supervisor import Restarts, Supervisor

MADE_HERE = ("kafka", "postgres", "faust", "logs", "stack.json")


def wipe(home: Path, names: Sequence[str] = ()) -> None:
    """Remove what the local stack created in ``home``, and ``names`` that other parts created there; nothing else."""
    for path in (reachable_by_nobody(home / "postgres"), *(home / name for name in (*MADE_HERE, *names))):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class LocalStack:
    """Servers and roles in ``home``. A server whose address is given is used as it is and never ended.

    ``held`` is the descriptor that `weir.local.lock` yielded; ``install`` is called only when a server must be started.
    """

    def __init__(
        self,
        home: Path,
        kafka_bootstrap: str | None,
        database_url: str | None,
        *,
        install: Callable[[], Tools],
        report: Callable[[str], None],
        held: int,
        restarts: Restarts | None = None,
    ) -> None:
        self.home = home.absolute()
        self.supervisor = Supervisor(report, restarts or Restarts())
        self._held = (held,)
        self.kafka: KafkaServer | None = None
        self.postgres: PostgresServer | None = None
        tools = None if kafka_bootstrap and database_url else install()
        if not database_url:
            assert tools is not None
            log = self._log("postgres")
            self.postgres = PostgresServer(self.home / "postgres", tools, log=log, held=self._held)
        if not kafka_bootstrap:
            assert tools is not None
            self.kafka = KafkaServer(self.home / "kafka", tools, log=self._log("kafka"), held=self._held)
        self.database_url = database_url or (self.postgres.url if self.postgres else "")
        self.kafka_bootstrap = kafka_bootstrap or (self.kafka.bootstrap if self.kafka else "")

    def start(self) -> None:
        """Start the servers that were not given, and wait until they answer."""
        for server in (self.postgres, self.kafka):
            if server is not None:
                self.supervisor.start_server(server)

    def start_role(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Start one role; it finds the servers by ``environment``."""
        child = Child(name, command, self._log(name), environment=environment, held=self._held)
        self.supervisor.start_role(child)
        return child

    def stop(self) -> None:
        """End the roles, then Kafka, then Postgres; their data is kept."""
        self.supervisor.stop()

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"
