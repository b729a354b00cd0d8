"""Sandboxes and stores for the tests of the stream. Libraries are imported when a test needs them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.stream.harness import Sandbox, Store


@pytest.fixture
def sandbox(kafka: str, tmp_path: Path) -> "Sandbox":
    """Topics of one partition on the session's broker."""
    from tests.integration.stream.harness import make_sandbox

    return make_sandbox(kafka, tmp_path)


@pytest.fixture
def store() -> "Store":
    """An empty store in memory."""
    from tests.integration.stream.harness import Store

    return Store()
