"""One Postgres server of one's own, on loopback, its data in one folder.

Postgres refuses to run as root. There it runs in a user namespace (`unshare`), where root is an ordinary user: no user
is added and no folder's mode is changed. Where namespaces are refused it runs as ``nobody``, with its data and a copy
of its programs in a folder under ``/var/tmp`` that ``nobody`` can reach.
"""

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from importance.errors import Unavailable
from weir.local.install import Tools
from weir.local.ports import LOOPBACK, free_port, until
from weir.local.process import Child, Ending, runs

START_SECONDS = 90  # under a second is usual, and 4 s after a kill; a loaded machine may need many times that
INITDB_SECONDS = 120
BACKENDS_SECONDS = 30
USER = "weir"
NOBODY = 65534
NAMESPACE = ("unshare", "-U", "--map-user=1000", "--map-group=1000", "--")


@dataclass(frozen=True)
class Account:
    """As whom the server runs: words before its command line, and the user id to change to."""

    prefix: tuple[str, ...] = ()
    user: int | None = None


def account() -> Account:
    """The account that Postgres accepts here: this one, or for root a namespace, or ``nobody``."""
    if os.geteuid() != 0:
        return Account()
    if shutil.which("unshare"):
        tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return Account(prefix=NAMESPACE)
    return Account(user=NOBODY)


class PostgresServer(Child):
    """A server whose data lies in ``folder``; started again there, it has what it had.

    ``durable=False`` leaves out the waits for the disk: what is committed then survives the server, not the machine.
    """

    def __init__(
        self,
        folder: Path,
        tools: Tools,
        *,
        log: Path | None = None,
        durable: bool = True,
        held: Sequence[int] = (),
        find_account: Callable[[], Account] = account,
    ) -> None:
        self.account = find_account()
        self.folder = folder.absolute() if self.account.user is None else reachable_by_nobody(folder)
        self.data = self.folder / "data"
        self.port = free_port()
        self._installed = tools.postgres_programs
        self._programs = self._installed if self.account.user is None else self.folder / "programs" / "bin"
        options = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",  # the path of a socket is bounded to some 100 bytes
            "fsync": "on" if durable else "off",
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        super().__init__(
            "postgres",
            [*self.account.prefix, str(self._programs / "postgres"), "-D", str(self.data), *settings],
            log or self.folder / "postgres.log",
            # A "fast" shutdown closes the connections that are open; an "immediate" one ends the backends at once.
            ending=Ending(signal.SIGINT, 30, orphaned=signal.SIGQUIT),
            user=self.account.user,
            held=held,
        )

    @property
    def url(self) -> str:
        """Of the database ``weir``, as SQLAlchemy wants it."""
        return self.url_of(USER)

    def url_of(self, database: str) -> str:
        """The URL of a database of this server; the same as long as this object lives."""
        return f"postgresql+psycopg://{USER}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it takes queries; the database ``weir`` is made on the first start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.account.user is not None:
            _refuse_foreign(self.folder, (os.geteuid(), self.account.user))
            self._copy_programs()
            os.chown(self.folder, self.account.user, self.account.user)
        if not self.data.exists():
            self._initialise()
        _clear_stale_pid_file(self.data)
        super().start()
        if not until(self.answers, lambda: not self.alive, START_SECONDS):
            self.kill()
            raise Unavailable(f"Postgres did not start within {START_SECONDS} s: {self.last_words()}")
        self.create_database(USER)

    def answers(self) -> bool:
        """Whether the server takes queries; while it recovers from a kill it does not."""
        try:
            psycopg.connect(self._conninfo("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name: str) -> str:
        """Make an empty database unless it is there; returns its URL. Raises Unavailable when the server is gone."""
        try:
            with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.OperationalError as error:
            raise Unavailable(f"Postgres went away again ({error}): {self.last_words()}") from error
        return self.url_of(name)

    def kill(self) -> int:
        """Kill (-9) the server, as a fault does, and wait until its backends have seen it and are gone."""
        backends = _descendants(self.pid) if self.alive else []
        status = super().kill()
        until(lambda: not any(map(runs, backends)), lambda: False, BACKENDS_SECONDS)
        return status

    def _conninfo(self, database: str) -> str:
        return f"host={LOOPBACK} port={self.port} user={USER} dbname={database}"

    def _initialise(self) -> None:
        """Make the data folder of an empty server; renamed into place when it is whole."""
        partial = self.folder / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        command = [*self.account.prefix, str(self._programs / "initdb"), "-D", str(partial), "-U", USER]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        Child("initdb", command, self.log, user=self.account.user, held=self.held).run(INITDB_SECONDS)
        partial.rename(self.data)

    def _copy_programs(self) -> None:
        """The checkout may lie in a closed home: the programs are copied to where ``nobody`` can run them."""
        copy = self._programs.parent
        if not copy.exists():
            partial = self.folder / "programs.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self._installed.parent, partial, symlinks=True)
            partial.rename(copy)


def reachable_by_nobody(folder: Path) -> Path:
    """A folder that belongs to one home: named by a hash of its path."""
    return Path("/var/tmp") / f"weir-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]}"  # noqa: S108


def _refuse_foreign(folder: Path, owners: tuple[int, ...]) -> None:
    """Anybody may write in ``/var/tmp``: a folder or link that somebody else put there is not ours to use."""
    if folder.is_symlink() or folder.stat().st_uid not in owners:
        raise Unavailable(f"{folder} belongs to another user: remove it, or set WEIR_HOME to another directory")


def _clear_stale_pid_file(data: Path) -> None:
    """Remove the pid file of a killed server; Postgres would be misled when its pid now belongs to another process."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.Error:
        command = []
    if str(data) in command:
        raise Unavailable(f"a Postgres server already runs on {data} as process {pid}: end it with 'kill -INT {pid}'")
    pid_file.unlink()


def _descendants(pid: int | None) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)] if pid is not None else []
    except psutil.NoSuchProcess:
        return []
