"""Where services are, as a running stack tells it."""

import json
import os
from pathlib import Path

import pytest

from weir.places import Stack, announced, running_stack
from weir.settings import Settings


@pytest.fixture(autouse=True)
def open_handed() -> None:
    """New files may be read by everybody, unless somebody takes care."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_stack_is_told_to_this_user_alone_and_only_while_it_runs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "stack.partial").write_text("left behind by one that was killed")
    stack = Stack("127.0.0.1:9092", "postgresql://ann:hunter22@db/weir", "http://127.0.0.1:8787", ("http://a/metrics",))
    with announced(settings, stack):
        path = tmp_path / "stack.json"
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_text())["kafka"] == "127.0.0.1:9092"
        assert running_stack(settings) == stack
    assert running_stack(settings) is None
    assert list(tmp_path.iterdir()) == []
