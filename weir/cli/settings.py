"""``weir settings``: show every setting with its value, source and meaning."""

import typer

from weir.cli.output import AsJson, print_columns, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("settings")(show)


def show(as_json: AsJson = False) -> None:
    """Print every setting: its value, where it came from (default, .env, environment) and what it means."""
    from weir.settings import read, sources

    rows = sources(read())
    if as_json:
        print_json(rows)
    else:
        print_columns(
            ("variable", "value", "from", "meaning"),
            [(row.variable, row.value, row.source, row.meaning) for row in rows],
        )
