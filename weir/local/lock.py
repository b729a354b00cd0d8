"""The lock of a local stack on its directory: two stacks cannot share one.

Every process of a stack holds it, so it is free exactly when all of them have ended, also after a ``kill -9``.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from importance.errors import Conflict
from weir.local.process import runs

PREVIOUS_SECONDS = 30  # the servers of a stack that was killed end in about 5
_LOCK = "lock"


@contextmanager
def locked(home: Path, wait_seconds: float = PREVIOUS_SECONDS) -> Iterator[int]:
    """Lock ``home`` and yield the lock's descriptor, which every process of the stack keeps open.

    Waits for the remaining processes of a stack that was killed; raises Conflict when a stack runs there.
    """
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            owner = _owner(descriptor)
            if runs(owner) or time.monotonic() > deadline:
                raise Conflict(
                    f"a stack already runs in {home} (process {owner}): end it, or set WEIR_HOME to another directory"
                )
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def holder(home: Path) -> int | None:
    """Return the process id of the stack that starts or runs in ``home``.

    None when there is no stack, or when only the servers of a killed one are still ending.
    """
    try:
        descriptor = os.open(home / _LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        owner = _owner(descriptor)
        return owner if not _try_lock(descriptor, fcntl.LOCK_SH) and runs(owner) else None
    finally:
        os.close(descriptor)


def _owner(descriptor: int) -> int:
    return int(os.pread(descriptor, 20, 0) or b"0")


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
