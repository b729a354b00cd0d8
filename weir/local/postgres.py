"""A private Postgres server, on loopback, its data in one directory.

Postgres refuses to run as root. For root it runs in a user namespace (`unshare`), where root is an ordinary user: no
user is added and no directory's mode is changed. Where namespaces are refused it runs as the user ``nobody``, with its
data and a copy of its programs in a directory under ``/var/tmp`` that ``nobody`` can reach.
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
    """The account that the server runs as: a prefix of its command line, and the user id to change to."""

    prefix: tuple[str, ...] = ()
    user: int | None = None


def account() -> Account:
    """Return an account that Postgres accepts: this process's own, or for root a user namespace, else ``nobody``."""
    if os.geteuid() != 0:
        return Account()
    if shutil.which("unshare"):
        tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return Account(prefix=NAMESPACE)
    return Account(user=NOBODY)


class PostgresServer(Child):
    """A server whose data is in ``directory``; it is kept from one start to the next.

    ``durable=False`` switches fsync off: a commit then survives a crash of the server, not of the machine.
    """

    def __init__(
        self,
        directory: Path,
        tools: Tools,
        *,
        log: Path | None = None,
        durable: bool = True,
        held: Sequence[int] = (),
        find_account: Callable[[], Account] = account,
    ) -> None:
        self.account = find_account()
        self.directory = directory.absolute() if self.account.user is None else reachable_by_nobody(directory)
        self.data = self.directory / "data"
        self.port = free_port()
        self._installed = tools.postgres_programs
        self._programs = self._installed if self.account.user is None else self.directory / "programs" / "bin"
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
            log or self.directory / "postgres.log",
            # A "fast" shutdown closes the connections that are open; an "immediate" one ends the backends at once.
            ending=Ending(signal.SIGINT, 30, orphaned=signal.SIGQUIT),
            user=self.account.user,
            held=held,
        )

    @property
    def url(self) -> str:
        """Return the SQLAlchemy URL of the database ``weir``."""
        return self.url_of(USER)

    def url_of(self, database: str) -> str:
        """Return the URL of a database of this server; it does not change during the life of this object."""
        return f"postgresql+psycopg://{USER}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it takes queries; the first start creates the database ``weir``."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.account.user is not None:
            _refuse_foreign(self.directory, (os.geteuid(), self.account.user))
            self._copy_programs()
            os.chown(self.directory, self.account.user, self.account.user)
        if not self.data.exists():
            self._initialise()
        _clear_stale_pid_file(self.data)
        super().start()
        if not until(self.answers, lambda: not self.alive, START_SECONDS):
            self.kill()
            raise Unavailable(f"Postgres did not start within {START_SECONDS} s: {self.exit_summary()}")
        self.create_database(USER)

    def answers(self) -> bool:
        """Return whether the server takes queries; during crash recovery it does not."""
        try:
            psycopg.connect(self._conninfo("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name: str) -> str:
        """Create an empty database unless it exists; return its URL. Raises Unavailable when the server has ended."""
        try:
            with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.OperationalError as error:
            raise Unavailable(f"Postgres ended again ({error}): {self.exit_summary()}") from error
        return self.url_of(name)

    def kill(self) -> int:
        """Kill (-9) the server, as a fault does, and wait until its backends have ended."""
        backends = _descendants(self.pid) if self.alive else []
        status = super().kill()
        until(lambda: not any(map(runs, backends)), lambda: False, BACKENDS_SECONDS)
        return status

    def _conninfo(self, database: str) -> str:
        return f"host={LOOPBACK} port={self.port} user={USER} dbname={database}"

    def _initialise(self) -> None:
        """Create the data directory of an empty server; it is renamed when it is complete."""
        partial = self.directory / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        command = [*self.account.prefix, str(self._programs / "initdb"), "-D", str(partial), "-U", USER]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        Child("initdb", command, self.log, user=self.account.user, held=self.held).run(INITDB_SECONDS)
        partial.rename(self.data)

    def _copy_programs(self) -> None:
        """Copy the programs to where ``nobody`` can run them: the checkout may be in a private home directory."""
        copy = self._programs.parent
        if not copy.exists():
            partial = self.directory / "programs.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self._installed.parent, partial, symlinks=True)
            partial.rename(copy)


def reachable_by_nobody(directory: Path) -> Path:
    """Return the directory under ``/var/tmp`` that stands in for ``directory``, named by a hash of its path."""
    return Path("/var/tmp") / f"weir-{hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:12]}"  # noqa: S108


def _refuse_foreign(directory: Path, owners: tuple[int, ...]) -> None:
    """Raise Unavailable for a symbolic link or another user's directory: every user may write in ``/var/tmp``."""
    if directory.is_symlink() or directory.stat().st_uid not in owners:
        raise Unavailable(f"{directory} belongs to another user: remove it, or set WEIR_HOME to another directory")


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
