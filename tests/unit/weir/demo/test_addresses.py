"""Where services are, as a running stack tells it."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from importance.errors import Unavailable
from weir.demo.addresses import Stack, announced, located, remedy, running_stack
from weir.local.lock import holder, locked
from weir.settings import Settings

STACK = Stack("127.0.0.1:9092", "postgresql://ann:hunter22@db/weir", "http://127.0.0.1:8787", ("http://a/metrics",))


@pytest.fixture(autouse=True)
def open_handed() -> None:
    """New files may be read by everybody, unless somebody takes care."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_stack_is_reported_to_this_user_alone_and_only_while_it_runs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "stack.partial").write_text("left behind by one that was killed")
    with locked(tmp_path), announced(settings, STACK):
        path = tmp_path / "stack.json"
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_text())["kafka"] == "127.0.0.1:9092"
        assert running_stack(settings) == STACK
    assert running_stack(settings) is None
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_what_a_killed_stack_left_says_nothing_and_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with locked(tmp_path):
        pass
    (tmp_path / "stack.json").write_text(json.dumps(asdict(STACK)))
    assert running_stack(settings) is None
    with pytest.raises(Unavailable, match=r"the weir up that wrote .*stack\.json has ended: start weir up again"):
        located(settings, database=True)
    assert remedy(settings)("worker") == "start weir worker"


def test_a_stack_that_starts_is_waited_for(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with locked(tmp_path):
        with pytest.raises(Unavailable, match=rf"weir up \(process {os.getpid()}\) is still starting: wait until"):
            located(settings, kafka=True)
        with announced(settings, STACK):
            here = located(settings, database=True)
            assert remedy(here)("worker") == (
                f"weir up (process {os.getpid()}) starts it: wait, or see {tmp_path}/logs/worker.log"
            )
            assert remedy(here.model_copy(update={"database_url": "postgresql://elsewhere/weir"}))("worker") == (
                "start weir worker"
            )


def test_a_parent_that_is_gone_holds_nothing_while_its_children_end(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    with locked(tmp_path):
        assert holder(tmp_path) == os.getpid()
        (tmp_path / "lock").write_text(str(ended.pid))
        assert holder(tmp_path) is None
    assert holder(tmp_path) is None
