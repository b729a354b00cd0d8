"""The words that users meet are the field's: documents, help, settings, metrics, errors and log lines.

Each retired word has its standard term beside it; docs/glossary.md has the product's own terms.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from tests.unit.monitoring.test_metrics import defined
from weir.cli import create_app
from weir.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGES = ("importance", "datasets", "stream", "trainer", "storage", "monitoring", "experiments", "weir")
RETIRED = {
    r"doors?": "admission threshold",
    r"turned away|turns? away": "rejected",
    r"lets? in": "admit",
    r"lanes?": "partition worker",
    r"folders?": "directory",
    r"somebody|nobody|everybody|anybody": "the name of the component",
    r"anew": "again, from scratch",
    r"mend(s|ed|ing)?": "fix, repair",
    r"wish(es)?": "request",
    r"told|tells?": "report, print, distinguish",
    r"(?<!there )(is|are) no(?! (longer|more|less|worse|better|other))": "is not a valid, is unknown, there is no",
    r"goes on|go on|going on|went on": "continues, resumes",
    r"g[ai]ves? up|given up": "abandon, evict",
    r"is away|are away|was away": "is unavailable",
    r"frozen (copy|first|control|version|model)": "baseline",
    r"beats": "heartbeats",
    r"strays": "unused parameters",
    r"companions": "auxiliary weights",
    r"figures?": "metrics, statistics",
    r"least_\w+|most_\w+": "min_, max_",
    r"begins?|began|begun": "start",
    r"said|says?": "report, print",
}
KEPT = {
    "trainable (counted up to `least_samples`)",  # a field of GET /v1/status
}
_PATTERN = re.compile("|".join(rf"(?<![\w`/.-])(?:{word})(?![\w`/])" for word in RETIRED), re.IGNORECASE)


def documents() -> Iterator[tuple[str, str]]:
    """Prose of README and guides, without code; the log of experiments and the changelog are history."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))):
        if page.name != "log.md":
            text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", page.read_text(), flags=re.DOTALL)
            yield from ((f"{page.name}", line) for line in text.splitlines())


def helps() -> Iterator[tuple[str, str]]:
    """The help of every command and option."""

    def walk(command: object, words: str) -> Iterator[tuple[str, str]]:
        yield words, getattr(command, "help", None) or ""
        for parameter in command.params:  # type: ignore[attr-defined]
            yield words, getattr(parameter, "help", None) or ""
        if isinstance(command, typer.core.TyperGroup):
            for name, child in command.commands.items():
                yield from walk(child, f"{words} {name}")

    yield from walk(get_command(create_app()), "weir")


def settings() -> Iterator[tuple[str, str]]:
    """The description of every setting."""
    yield from ((name, field.description or "") for name, field in Settings.model_fields.items())


def metrics() -> Iterator[tuple[str, str]]:
    """The help text of every metric."""
    yield from defined().items()


def messages() -> Iterator[tuple[str, str]]:
    """The text of every error that is raised and of every log line."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                reported = node.exc if isinstance(node, ast.Raise) else node
                logged = isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("_log.", "logs."))
                if reported is not None and (isinstance(node, ast.Raise) or logged):
                    for part in ast.walk(reported):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            yield f"{file.relative_to(ROOT)}:{part.lineno}", part.value


@pytest.mark.parametrize("source", [documents, helps, settings, metrics, messages], ids=lambda source: source.__name__)
def test_users_meet_no_retired_word(source: object) -> None:
    found = [
        f"{where}: {match.group()!r} in {line.strip()!r}"
        for where, line in source()  # type: ignore[operator]
        for match in _PATTERN.finditer(line)
        if not any(kept in line for kept in KEPT)
    ]
    assert found == []


def test_each_retired_word_is_found() -> None:
    for text in ("at the door", "it is no text", "was told", "the folder", "turned away", "goes on", "frozen copy"):
        assert _PATTERN.search(text), text
    for text in ("no worse", "it is no longer there", "outdoors", "`is no`"):
        assert not _PATTERN.search(text), text
