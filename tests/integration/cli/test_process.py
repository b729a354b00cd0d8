"""The command line as a process: exit status, pipes, shell completion, and what it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weir import settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set no variable, and work in an empty directory."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_shell_completes_commands_without_loading_what_they_need(tmp_path: Path) -> None:
    """By the very variables that the script of --show-completion sets."""
    asked = {"_WEIR_COMPLETE": "complete_bash", "COMP_WORDS": "weir models ro", "COMP_CWORD": "2"}
    script = (
        "import atexit, sys; from weir.cli import run;"
        "atexit.register(lambda: print({'torch', 'sqlalchemy', 'faust', 'pyarrow'} & sys.modules.keys()));"
        "run([])"
    )
    words = [sys.executable, "-c", script]
    environment = os.environ | asked | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["rollback", "set()"]


def test_the_process_ends_with_the_command_status() -> None:
    done = subprocess.run([sys.executable, "-m", "weir", "nonsense"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    done = subprocess.run(
        [sys.executable, "-m", "weir", "topics", "--debug"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


def test_a_reader_that_closes_its_pipe_is_no_error() -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", "weir", "settings", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None
    writer.stdout.close()
    _, errors = writer.communicate(timeout=60)
    assert errors == b""


def test_help_and_light_commands_start_without_the_heavy_libraries() -> None:
    heavy = {"torch", "faust", "transformers", "sqlalchemy", "kafka", "fastapi", "numpy"}
    for words in (["--help"], ["settings"]):
        code = f"import sys, weir.cli; weir.cli.run({words!r}); print(*sys.modules, file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = {name.partition(".")[0] for name in done.stderr.split()}
        assert "weir" in loaded
        assert not loaded & heavy
