"""The local stack: the servers that were not given, the roles beside them, and the folder they live in.

Two stacks cannot use one folder: the lock on it is held by every process of a stack, so it is free exactly when the
last of them is gone, also after a ``kill -9``.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from importance.errors import Conflict
from weir.local.install import Tools
from weir.local.kafka import KafkaServer
from weir.local.postgres import PostgresServer, reachable_by_nobody
from weir.local.process import Child, runs
from weir.local.supervisor import Restarts, Supervisor

MADE_HERE = ("kafka", "postgres", "faust", "logs", "stack.json")
PREVIOUS_SECONDS = 30  # the servers of a stack that was killed end in about 5


@contextmanager
def locked(home: Path, wait_seconds: float = PREVIOUS_SECONDS) -> Iterator[int]:
    """Hold ``home`` and yield the lock's descriptor, to be kept open by every process of the stack.

    Waits for what is left of a stack that was killed; a stack that runs is a Conflict.
    """
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(descriptor):
            owner = int(os.pread(descriptor, 20, 0) or b"0")
            if runs(owner) or time.monotonic() > deadline:
                raise Conflict(
                    f"a stack already runs in {home} (process {owner}): end it, or set WEIR_HOME to another folder"
                )
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wipe(home: Path, names: Sequence[str] = ()) -> None:
    """Remove what the local stack made in ``home``, and ``names`` that others made there; nothing else."""
    for path in (reachable_by_nobody(home / "postgres"), *(home / name for name in (*MADE_HERE, *names))):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class LocalStack:
    """Servers and roles in ``home``. A server whose address is given is used as it is, and never ended.

    ``held`` is the descriptor that `locked` yielded; ``install`` is called only when a server must be started.
    """

    def __init__(
        self,
        home: Path,
        kafka_bootstrap: str | None,
        database_url: str | None,
        *,
        install: Callable[[], Tools],
        say: Callable[[str], None],
        held: int,
        restarts: Restarts | None = None,
    ) -> None:
        self.home = home.absolute()
        self.supervisor = Supervisor(say, restarts or Restarts())
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
        """Start one more process beside the servers; it finds them in ``environment``."""
        child = Child(name, command, self._log(name), environment=environment, held=self._held)
        self.supervisor.start_role(child)
        return child

    def stop(self) -> None:
        """End the roles, then Kafka, then Postgres; what they hold is kept."""
        self.supervisor.stop()

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"
