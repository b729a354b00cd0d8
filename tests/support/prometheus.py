"""Prometheus' programs for the tests, ``promtool`` and ``prometheus``: on PATH, else from Debian's package.

``python -m tests.support.prometheus`` unpacks the package into the tools' directory, where apt has it. It installs
nothing, needs no root, and fails at nothing: a test without the program is skipped with the reason.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from weir.local.install import tools_directory

_NETWORK = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10")
_REMEDY = "install Prometheus, e.g. with 'apt-get install prometheus' or 'brew install prometheus'"


def program(name: str) -> Path:
    """Return the path of ``promtool`` or ``prometheus``; skip the test without it."""
    found = find(name)
    if found is None:
        import pytest  # `make setup` runs this module as a program

        pytest.skip(missing(name))
    return found


def missing(name: str) -> str:
    """Return why a test without the program is skipped."""
    return f"{name} is missing: run 'make setup' where apt-get has the package prometheus, or {_REMEDY}"


def promtool(*words: str | Path) -> None:
    """Run ``promtool``; fail with its output where it refuses."""
    done = subprocess.run([program("promtool"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def find(name: str) -> Path | None:
    """Return the path of the program; None without it."""
    unpacked = _unpacked() / "usr" / "bin" / name
    on_path = shutil.which(name)
    return Path(on_path) if on_path else unpacked if unpacked.exists() else None


def unpack() -> None:
    """Fetch and unpack Debian's package where the programs are missing and apt has it."""
    if (find("promtool") and find("prometheus")) or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return
    directory = _unpacked()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".partial-") as scratch:
        if not _runs("apt-get", *_NETWORK, "download", "prometheus", cwd=scratch):
            return
        (package,) = Path(scratch).glob("prometheus_*.deb")
        partial = Path(scratch) / directory.name
        if _runs("dpkg-deb", "-x", package, partial, cwd=scratch) and not directory.exists():
            partial.rename(directory)


def _unpacked() -> Path:
    return tools_directory() / "prometheus"


def _runs(*command: str | os.PathLike[str], cwd: str) -> bool:
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    unpack()
