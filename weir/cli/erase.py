"""``weir erase``: remove a subject."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from importance.errors import InvalidInput
from weir.cli.authorship import Who, Why
from weir.cli.output import AsJson, counted, print_columns, print_json

if TYPE_CHECKING:
    from storage.lineage import TrainedVersion
    from weir.erasing import ErasureReport

MAX_CHARACTERS = 128  # of a subject


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("erase")(erase)


def erase(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="The subject as events name it.")],
    block: Annotated[bool, typer.Option("--block", help="Refuse later events of the subject, too, for ever.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    reason: Why = "asked for by hand",
    actor: Who = None,
    as_json: AsJson = False,
) -> None:
    """Remove a subject: its samples, keys and dead letters; show which versions were trained on it and what remains."""
    from storage.audit import Author, Via
    from storage.engine import create_engine
    from weir.demo.addresses import located
    from weir.erasing import Eraser, topics_eraser
    from weir.process.actor import this_user
    from weir.settings import read

    if not 1 <= len(subject) <= MAX_CHARACTERS or "\0" in subject:
        raise InvalidInput(
            f"the subject has {len(subject)} characters; it must have 1 to {MAX_CHARACTERS}, none U+0000"
        )
    settings = located(read(), kafka=True, database=True)
    engine = create_engine(settings.database_url, pool_size=2)
    try:
        author = Author(actor or this_user(), Via.CLI, reason)
        report = Eraser(settings, engine, topics_eraser(settings)).erase(subject, author, block=block, dry_run=dry_run)
    finally:
        engine.dispose()
    print_json(report) if as_json else _print(report)


def _print(report: "ErasureReport") -> None:
    done = "would be removed" if report.dry_run else "removed"
    typer.echo(f"subject {report.subject}, a pseudonym under WEIR_SALT")
    rows = ", ".join(f"{table} {count}" for table, count in report.rows.items())
    typer.echo(f"rows {done}: {rows}")
    if report.blocked:
        typer.echo("later events of the subject are refused for ever")
    elif report.welcome_from is not None:
        typer.echo(
            f"later events of the subject are taken from {report.welcome_from:%Y-%m-%d %H:%M:%S}Z on, event time"
        )
    if report.training is not None:
        typer.echo(f"run {report.training} is training and may have drawn the subject's samples: erase again after it")
    typer.echo()
    if report.versions:
        print_columns(
            ("version", "state", "samples", "draws", "weight", "measured"), [_row(each) for each in report.versions]
        )
        typer.echo("these versions learned from the subject; weir models rollback or a new first version replaces them")
    else:
        typer.echo(f"no {'other ' if report.unsearchable else ''}version was trained on the subject")
    if report.unsearchable:
        typer.echo(f"cannot be searched, made under another WEIR_SALT: {', '.join(report.unsearchable)}")
    typer.echo()
    print_columns(
        ("topic", done, "remains", "at most for"),
        [
            (x.topic, x.removed, x.remain or "nothing", _duration(x.retention_ms) if x.remain else None)
            for x in report.topics
        ],
    )


def _row(trained: "TrainedVersion") -> tuple[object, ...]:
    use = trained.use
    had = ("by a parent", None, None, None) if use is None else (use.samples, use.draws, use.weight, use.measured)
    return (trained.version, trained.state, *had)


def _duration(milliseconds: int | None) -> str:
    """Return a retention in words."""
    if milliseconds is None:
        return "no limit"
    length = timedelta(milliseconds=milliseconds)
    return counted(length.days, "day") if length.days else f"{length.total_seconds():g} s"
