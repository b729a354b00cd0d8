"""A real PgBouncer before a test's Postgres: that of the system, else Debian's, unpacked among the other programs."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from weir.local.install import tools_directory
from weir.local.ports import LOOPBACK, free_port, until
from weir.local.postgres import PostgresServer
from weir.local.process import Child

START_SECONDS = 30
FETCH_SECONDS = 120
_LIBRARIES = re.compile(r"Depends: (libc-?ares\S*|libevent\S*)")  # the others are on every Debian


def find() -> Path | str:
    """The program, or why there is none."""
    if found := shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
        return Path(found)
    home = tools_directory() / "pgbouncer"
    program = home / "usr" / "sbin" / "pgbouncer"
    home.parent.mkdir(parents=True, exist_ok=True)
    with (tools_directory() / ".pgbouncer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists() and (problem := _fetch(home)):
            return f"no pgbouncer on this machine, and Debian's cannot be had: {problem}"
    return program


def _fetch(home: Path) -> str:
    """Unpack Debian's package and the libraries that it needs; what went wrong, or nothing. 0.5 MB, no right needed."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "this is no Debian"
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".partial-") as partial:
        try:
            needed = _output(["apt-cache", "depends", "pgbouncer"], partial)
            _output(["apt-get", "download", "-q", "pgbouncer", *_LIBRARIES.findall(needed)], partial)
            for package in Path(partial).glob("*.deb"):
                _output(["dpkg-deb", "-x", str(package), "unpacked"], partial)
            (Path(partial) / "unpacked").rename(home)
        except subprocess.CalledProcessError as error:
            return " ".join(error.stderr.split())[:200]
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    return ""


def _output(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS, check=True)
    return done.stdout


@contextmanager
def pooled(program: Path, server: PostgresServer, database: str, folder: Path, mode: str) -> Iterator[str]:
    """The URL of a database behind a PgBouncer with its own defaults but for the ``mode``."""
    port = free_port()
    account = server.account
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={LOOPBACK} port={server.port} user=weir\n"
        f"[pgbouncer]\nlisten_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = {mode}\n"
    )
    libraries = ":".join(map(str, program.parents[1].glob("lib/*-linux-gnu")))
    child = Child(
        "pgbouncer",
        [*account.prefix, str(program), str(folder / "pgbouncer.ini")],
        folder / "pgbouncer.log",
        environment=os.environ | ({"LD_LIBRARY_PATH": libraries} if libraries else {}),
        user=account.user,
    )
    url = f"postgresql://weir@{LOOPBACK}:{port}/{database}"

    def answers() -> bool:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    child.start()
    try:
        assert until(answers, lambda: not child.alive, START_SECONDS), child.exit_summary()
        yield url
    finally:
        child.stop()
