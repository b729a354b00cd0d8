"""The targets of the Makefile, and what a set-up reports that cannot be done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout whose packages are not installed, of the files that make reads."""
    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def make(directory: Path, *arguments: str, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    for name in ("MAKEFLAGS", "MAKELEVEL"):  # make test is a make too: one inside another announces its directory
        environment.pop(name, None)
    command = ["make", *arguments]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def link(directory: Path, *names: str) -> str:
    """A PATH with these programs only."""
    for name in names:
        (directory / name).symlink_to(subprocess.check_output(["sh", "-c", f"command -v {name}"], text=True).strip())
    return str(directory)


def test_make_lists_its_targets(bare: Path) -> None:
    listed = [line.split()[1] for line in make(bare).stdout.splitlines()]
    assert listed == [
        "help",
        "setup",
        "run",
        "unit",
        "test",
        "test-chart",
        "test-dashboards",
        "pictures",
        "check",
        "audit",
        "bench",
        "soak",
    ]


def test_set_up_without_python_is_reported_in_one_line(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    done = make(bare, "setup", path=link(tmp_path / "path", "make", "sh", "rm"))
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1
    assert lines[0].startswith("Python 3.11, 3.12 or 3.13 is missing: install one, e.g. with 'apt-get install python3")


def test_set_up_without_uv_and_without_network_is_reported_in_one_line(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    path = link(tmp_path / "path", "make", "sh", "rm", "touch")
    (tmp_path / "path" / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    done = make(bare, "setup", path=path)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("make", "ERROR: "))]
    assert len(lines) == 1
    assert lines[0].startswith("uv is missing and could not be installed: check the network, or install it,")
    assert not (bare / ".tools").joinpath("uv").exists()
