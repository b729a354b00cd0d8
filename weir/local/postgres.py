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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from importance.errors import Unavailable
from weir.local.install import Tools
from weir.local.ports import LOOPBACK, free_port, until
from weir.local.process import Child

START_SECONDS = 90  # under a second is usual, and 4 s after a kill; a loaded machine may need many times that
STOP_SECONDS = 30
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


class PostgresServer:
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
        find_account: Callable[[], Account] = account,
    ) -> None:
        self.account = find_account()
        self.folder = folder.absolute() if self.account.user is None else _reachable_by_nobody(folder)
        self.port = free_port()
        self.log = log or self.folder / "postgres.log"
        self._programs = tools.postgres_programs
        self._durable = durable
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """Of the database ``weir``, as SQLAlchemy wants it."""
        return self.url_of(USER)

    def url_of(self, database: str) -> str:
        """The URL of a database of this server."""
        return f"postgresql+psycopg://{USER}@{LOOPBACK}:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """Where the databases lie."""
        return self.folder / "data"

    def start(self) -> None:
        """Start the server and wait until it takes queries; the database ``weir`` is made on the first start."""
        self._prepare()
        _clear_stale_pid_file(self.data)
        options = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",  # the path of a socket is bounded to some 100 bytes
            "fsync": "on" if self._durable else "off",
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        command = [*self.account.prefix, str(self._programs / "postgres"), "-D", str(self.data), *settings]
        # SIGQUIT: should this process vanish, the server ends at once and takes its backends with it.
        self.child = Child("postgres", command, self.log, user=self.account.user, death_signal=signal.SIGQUIT)
        self.child.start()
        child = self.child
        if not until(self.answers, lambda: not child.alive, START_SECONDS):
            child.kill()
            raise Unavailable(
                f"Postgres did not start within {START_SECONDS} s (exit status {child.status}): "
                f"{' | '.join(child.log_tail(3))}; see {self.log}"
            )
        self.create_database(USER)

    def answers(self) -> bool:
        """Whether the server takes queries; while it recovers from a kill it does not."""
        try:
            psycopg.connect(self._conninfo("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name: str) -> str:
        """Make an empty database unless it is there; returns its URL."""
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url_of(name)

    def stop(self) -> None:
        """End the server in good order, closing the connections that are open (a "fast" shutdown)."""
        if self.child is not None:
            self.child.end(STOP_SECONDS, signal.SIGINT)

    def kill(self) -> None:
        """Kill (-9) the server, as a fault does. `start` brings it back on the same port with the same data."""
        if self.child is None:
            return
        backends = _descendants(self.child.pid)
        self.child.kill()
        # Backends see their parent's end by themselves; a new server cannot start before the last has.
        psutil.wait_procs(backends, timeout=STOP_SECONDS)

    def _conninfo(self, database: str) -> str:
        return f"host={LOOPBACK} port={self.port} user={USER} dbname={database}"

    def _prepare(self) -> None:
        """Make the folder of an empty server, once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.account.user is not None:
            self._programs = _copy_of_programs(self._programs, self.folder)
            os.chown(self.folder, self.account.user, self.account.user)
        if (self.data / "PG_VERSION").exists() and not (self.folder / "initialising").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)  # one that was killed half way
        (self.folder / "initialising").touch()
        command = [*self.account.prefix, str(self._programs / "initdb"), "-D", str(self.data), "-U", USER]
        done = subprocess.run(
            [*command, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
            capture_output=True,
            text=True,
            check=False,
            user=self.account.user,
            group=self.account.user,
            extra_groups=None if self.account.user is None else [],
        )
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()
            raise Unavailable(f"Postgres' data folder {self.data} cannot be made: {' | '.join(reason[-3:])}")
        (self.folder / "initialising").unlink()


def _reachable_by_nobody(folder: Path) -> Path:
    """A folder that belongs to one home: named by a hash of its path."""
    return Path("/var/tmp") / f"weir-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]}"  # noqa: S108


def _copy_of_programs(programs: Path, folder: Path) -> Path:
    """The checkout may lie in a closed home: the programs are copied to where ``nobody`` can run them."""
    copy = folder / "programs"
    if not copy.exists():
        shutil.rmtree(folder / "programs.partial", ignore_errors=True)
        shutil.copytree(programs.parent, folder / "programs.partial", symlinks=True)
        (folder / "programs.partial").rename(copy)
    return copy / programs.name


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


def _descendants(pid: int | None) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True) if pid is not None else []
    except psutil.NoSuchProcess:
        return []
