"""Temporary directories go with their process, and those of killed ones at the next start."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from weir.scratch import scratch, sweep


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary directory of the test's own, for its child, too."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_directory_goes_with_its_block_and_is_not_swept_before() -> None:
    with scratch("train") as path:
        assert sweep() == []
        assert path.is_dir()
    assert not path.exists()


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    code = "from weir.scratch import scratch\nwith scratch('train') as path: print(path, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        left = Path(child.stdout.readline().strip())
        (left / "model.safetensors").write_text("weights")
        assert sweep() == []
        child.kill()
        child.wait()
    assert sweep() == [left]
    assert list(tmp_path.iterdir()) == []
