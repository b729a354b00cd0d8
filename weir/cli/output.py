"""How commands print data: aligned columns or JSON. Standard output holds data only."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: object) -> None:
    """Print one JSON document on one line; times as RFC 3339, numbers that are not finite as null."""
    typer.echo(msgspec.json.encode(value).decode())


def print_columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns under a header. The last column is not padded."""
    typer.echo(columns(header, rows))


def columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return lines of aligned columns.

    >>> print(columns(("name", "items"), [("holdout", 12), ("all", None)]))
    name     items
    holdout  12
    all      -
    """
    lines = [tuple(header), *(tuple(map(_cell, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural where needed.

    >>> counted(1, "row"), counted(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print a name and a value on each line, aligned."""
    rows = [(name, _cell(value)) for name, value in facts]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name.ljust(width)}  {value}")


def _cell(value: object) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
    return str(value)
