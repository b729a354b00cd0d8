"""Settings of a test alone."""

from pathlib import Path

import pytest

from tests.support.settings import clear


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty directory, with no variable set."""
    clear(monkeypatch, tmp_path)
