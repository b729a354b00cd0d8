"""docs/settings.md has every setting with its words."""

import re
from pathlib import Path

from weir import settings
from weir.settings import Settings

DOCS = Path(__file__).parents[4] / "docs" / "settings.md"


def documented_default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return (field.description or "").rpartition("default: ")[2]
    return "empty" if field.default in (None, "") else f"`{settings.shown(name, field.default)}`"


def test_every_setting_has_its_line_in_the_docs_and_every_line_its_setting() -> None:
    documented = re.findall(r"^\| `(WEIR_[A-Z_]+)` \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.MULTILINE)
    assert documented == [
        (settings.variable(name), documented_default(name), field.description)
        for name, field in Settings.model_fields.items()
    ]
