"""Temporary directories that are removed with their process, or at the next start where it was killed.

A process holds a lock in each of its directories; one whose lock is free was left by a killed process.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from importance.errors import StoreUnavailable
from storage import disk

PREFIX = "weir-"
_LOCK = ".lock"
_BLOCK = bytes(1 << 20)


@contextmanager
def scratch(purpose: str, parent: Path | None = None) -> Iterator[Path]:
    """Create a directory for the length of a block, in ``parent`` or the system's temporary directory."""
    prefix = f"{PREFIX}{purpose}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
        path = Path(name)
        with (path / f"{_LOCK}.new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (path / f"{_LOCK}.new").rename(path / _LOCK)  # visible only once it is held
            yield path


def sweep(parent: Path | None = None) -> list[Path]:
    """Remove the directories that killed processes left in ``parent`` or the temporary directory; return them."""
    left = []
    for lock in (parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}*/{_LOCK}"):
        try:
            with lock.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
                left.append(lock.parent)
        except OSError:  # it is in use, another user's, or just gone
            continue
    return left


def probe(size_bytes: int) -> None:
    """Write so many bytes and remove them; raises StoreUnavailable when the disk refuses them, OSError otherwise."""
    try:
        with scratch("probe") as directory, (directory / "bytes").open("wb") as file:
            for start in range(0, size_bytes, len(_BLOCK)):
                file.write(_BLOCK[: size_bytes - start])
    except OSError as error:
        if not refuses(error):
            raise
        raise refused(error) from error


def refuses(error: OSError) -> bool:
    """Return whether the local disk is why no temporary file could be written: it takes none, or TMPDIR is gone."""
    return disk.refuses(error) or isinstance(error, FileNotFoundError)


def refused(error: OSError) -> StoreUnavailable:
    """Return the error to report for a local file that the disk refused."""
    return StoreUnavailable(
        f"the local disk takes no files: {error}: free space in {tempfile.gettempdir()}, or set TMPDIR to another disk"
    )
