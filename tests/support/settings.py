"""The settings of a test: none from outside, and how one that is wrong is refused."""

from pathlib import Path

import pytest

from importance.errors import InvalidInput
from weir import settings


def clear(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Unset every variable, and work in ``directory``, which has no .env."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(directory)


def refusal() -> str:
    """Return the one line by which the present settings are refused."""
    with pytest.raises(InvalidInput) as caught:
        settings.read()
    text = str(caught.value)
    assert "\n" not in text
    return text


def source_of(variable: str) -> tuple[str, str]:
    """Return a variable's value as it is shown, and its source."""
    found = {row.variable: row for row in settings.sources(settings.read())}[variable]
    return found.value, found.source
