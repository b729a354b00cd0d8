"""The lock of a stack on its directory."""

import fcntl
import os
from pathlib import Path

import pytest

from importance.errors import Conflict
from weir.local.lock import holder, locked


def test_a_directory_is_locked_for_the_length_of_a_block(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    with locked(home):
        assert holder(home) == os.getpid()
    assert holder(home) is None


def test_a_directory_without_a_stack_has_no_holder(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_second_stack_is_refused_at_once_and_the_first_one_keeps_its_lock(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(Conflict, match=rf"already runs in {tmp_path} \(process {os.getpid()}\)"), locked(tmp_path):
            pass
        assert holder(tmp_path) == os.getpid()


def test_servers_of_a_killed_stack_are_waited_for_and_then_refused(tmp_path: Path) -> None:
    """They hold its descriptor, but the process that is written in the file has ended."""
    file = tmp_path / "lock"
    file.write_text(str(2**22 + 1))  # past the largest process id of Linux
    with file.open() as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        assert holder(tmp_path) is None
        with pytest.raises(Conflict), locked(tmp_path, wait_seconds=0):
            pass
    with locked(tmp_path, wait_seconds=0):
        assert holder(tmp_path) == os.getpid()


def test_a_child_that_keeps_the_descriptor_keeps_the_lock(tmp_path: Path) -> None:
    with locked(tmp_path) as descriptor:
        kept = os.dup(descriptor)
    assert holder(tmp_path) == os.getpid()
    os.close(kept)
    assert holder(tmp_path) is None
