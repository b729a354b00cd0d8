"""Temporary directories go with their process, and those of killed ones at the next start."""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from importance.errors import StoreUnavailable
from weir.process.scratch import probe, scratch, sweep


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


def test_a_probe_leaves_nothing_and_a_disk_that_takes_no_files_is_named_with_the_remedy(tmp_path: Path) -> None:
    probe(3_000_000)
    assert list(tmp_path.iterdir()) == []
    tmp_path.rmdir()
    with pytest.raises(StoreUnavailable, match=rf"takes no files: .*: free space in {tmp_path}, or set TMPDIR"):
        probe(1)
    tmp_path.mkdir()


@pytest.mark.parametrize("parent", [None, "models"])
def test_what_a_killed_process_left_is_swept(tmp_path: Path, parent: str | None) -> None:
    directory = tmp_path if parent is None else tmp_path / parent
    directory.mkdir(exist_ok=True)
    swept = partial(sweep, None if parent is None else directory)
    code = "import sys; from pathlib import Path; from weir.process.scratch import scratch\n" + (
        "with scratch('train', *map(Path, sys.argv[1:])) as path: print(path, flush=True); input()"
    )
    command = [sys.executable, "-c", code, *([] if parent is None else [str(directory)])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        left = Path(child.stdout.readline().strip())
        (left / "model.safetensors").write_text("weights")
        assert swept() == []
        child.kill()
        child.wait()
    assert swept() == [left]
    assert list(directory.iterdir()) == []
