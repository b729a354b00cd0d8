"""``weir models``: list the versions, show and change the active one."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from importance.errors import InvalidInput
from weir.cli.authorship import Who, Why
from weir.cli.models_diff import diff
from weir.cli.models_exchange import card, export, import_, mirror
from weir.cli.output import AsJson, counted, print_columns, print_facts, print_json
from weir.cli.reading import ColumnOption, DelimiterOption, PositiveOption
from weir.cli.tables import opened
from weir.cli.up import DEFAULT_REPLAY
from weir.process.actor import this_user

if TYPE_CHECKING:
    from importance.sample import Sample
    from storage.registry import Entry, Version

app = typer.Typer(no_args_is_help=True, help="Model versions: list, promote, roll back, freeze training.")

app.command()(diff)
app.command()(export)
app.command("import")(import_)
app.command()(card)
app.command()(mirror)

VersionName = Annotated[str, typer.Argument(metavar="VERSION", help="A version of weir models list.")]


@app.command()
def init(
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"Data set whose history trains it; default: {DEFAULT_REPLAY}.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .parquet, .csv or .jsonl file of your own that trains it.")
    ] = None,
    column: ColumnOption = [],  # noqa: B006 - typer reads the default, nobody changes it
    positive: PositiveOption = None,
    delimiter: DelimiterOption = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="Take WEIR_MODEL over without training it.")] = False,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Where a version is active already, print it and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the first version: the built-in model trained on history or a file, or the one that WEIR_MODEL names."""
    from datasets.layout import read_layout
    from datasets.pairs import TRAINING_COLUMNS, training_samples
    from weir.demo.progress_bar import Progress

    _refuse_together({"--untrained": untrained, "--data": data, "--dataset": dataset})
    if data is None:
        _refuse_alone({"--column": column, "--positive": positive, "--delimiter": delimiter})
    layout = read_layout(column, TRAINING_COLUMNS, positive, delimiter)
    if if_missing and _print_active(as_json):
        return
    with closing(Progress(sys.stderr)) as progress, ExitStack() as ending:
        # Before the services and the heavy libraries, so that an invalid file is reported at once.
        own = None if data is None else training_samples(data, layout, progress.show)
        tables = ending.enter_context(opened())
        operations = tables.operations()
        from weir.learning.first_version import dataset_history, make_first

        def read_history() -> "list[Sample]":
            if own is not None:
                return own
            return dataset_history(tables.settings, dataset or DEFAULT_REPLAY, progress.show)

        entry = make_first(
            tables.settings, tables.registry, operations, None if untrained else read_history, progress.show
        )
    _print_entry(entry, f"{entry.to_version} is active", as_json)


def _print_active(as_json: bool) -> bool:
    """Print the entry that activated the active version; False where there is none."""
    from storage.registry import MOVES

    with opened() as tables:
        entry = tables.registry.last_entry(MOVES)
    if entry is not None:
        _print_entry(entry, f"{entry.to_version} is active already", as_json)
    return entry is not None


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all versions, oldest first, with state and quality then, and the active one."""
    with opened() as tables:
        active, versions = tables.registry.active(), tables.registry.versions()
        frozen = tables.registry.frozen()
    if as_json:
        print_json({"active": active and active.version, "frozen": frozen, "versions": versions})
    else:
        header = ("version", "parent", "state", "created", "auc")
        rows = [
            (x.version, x.parent, x.state, f"{x.created:%Y-%m-%d %H:%M:%S}Z", x.metrics.get("auc")) for x in versions
        ]
        print_columns(header, rows)
        if rows:
            typer.echo(
                "auc is of the holdout as it was then, another one for each version: see weir models show VERSION"
            )
        if frozen:
            typer.echo("training is frozen until weir models unfreeze; weir models log says by whom and why")


@app.command()
def log(
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="Show which version was active then.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the whole append-only promotion log, oldest first, or the version that was active at a time."""
    from weir.cli.times import moment

    then = None if at is None else moment(at)
    with opened() as tables:
        entries = tables.registry.log()
    if then is None:
        print_json(entries) if as_json else _print_log(entries)
        return
    from storage.registry import served_at

    version = served_at(entries, then)
    if as_json:
        print_json({"time": then, "version": version})
    else:
        typer.echo(version or "no version was active then")


def _print_log(entries: "Iterable[Entry]") -> None:
    print_columns(
        ("sequence", "kind", "from", "to", "time", "actor", "reason"),
        [
            (x.sequence, x.kind, x.from_version, x.to_version, f"{x.time:%Y-%m-%d %H:%M:%S}Z", x.actor, x.reason)
            for x in entries
        ],
    )


@app.command()
def show(version: VersionName, as_json: AsJson = False) -> None:
    """Show one version: its files, metrics, the gate's decision, and its entries of the log."""
    from dataclasses import asdict

    from storage.quarantine import Quarantine

    with opened() as tables:
        found = tables.registry.version(version)
        parent = tables.registry.version(found.parent) if found.parent else None
        log = tables.registry.log(version)
        quarantined = Quarantine(tables.engine).of(version)
    if as_json:
        print_json({**asdict(found), "quarantine": quarantined, "log": log})
        return
    print_facts(_facts(found, parent))
    if found.metrics.get("checks"):
        typer.echo()
        _print_checks(found.metrics["checks"])
    if quarantined is not None:
        typer.echo(
            f"in quarantine since entry {quarantined.sequence} of the log, {quarantined.since:%Y-%m-%d %H:%M:%S}Z, "
            f"until weir models lift {version}; {counted(quarantined.rescored, 'sample')} scored again"
        )
    typer.echo()
    _print_log(log)


def _facts(version: "Version", parent: "Version | None") -> Iterator[tuple[str, object]]:
    """Yield name and value of each fact about a version."""
    yield from (("version", version.version), ("state", version.state))
    note = " (rejected, but on average good enough to continue from)" if parent and parent.state == "rejected" else ""
    yield "parent", version.parent and f"{version.parent}{note}"
    yield "created", f"{version.created:%Y-%m-%d %H:%M:%S}Z"
    yield from ((name, value) for name, value in version.metrics.items() if name not in ("checks", "tasks"))
    for task, of in version.metrics.get("tasks", {}).items():
        yield f"auc of {task}", f"{of['auc']} ({of['samples']} labels, {of['positives']} of them 1)"
    for name, value in version.statistics.items():
        if isinstance(value, Mapping):
            yield from ((f"{name.replace('_', ' ')}, {key}", each) for key, each in value.items())
        else:
            yield name, value
    yield from (("artifact", version.artifact), ("sha256", version.sha256))


def _print_checks(checks: "Iterable[Mapping[str, Any]]") -> None:
    print_columns(
        ("check", "passed", "on failure", "result"),
        [
            (x["name"], "yes" if x["passed"] else "no", "refuses" if x["vetoes"] else "notes", x["reason"])
            for x in checks
        ],
    )


@app.command()
def promote(
    version: VersionName, reason: Why = "asked for by hand", actor: Who = None, as_json: AsJson = False
) -> None:
    """Activate a version, whatever the gate decided."""
    with opened() as tables:
        entry = tables.operations().promote(version, actor=actor or this_user(), reason=reason)
    _print_entry(entry, f"{entry.to_version} is active", as_json)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the log.")],
    to: Annotated[str | None, typer.Option(metavar="VERSION", help="Where to; default: the one before.")] = None,
    actor: Who = None,
    as_json: AsJson = False,
) -> None:
    """Activate an earlier version again and freeze training. Repeated, it walks further back."""
    with opened() as tables:
        entry = tables.operations().rollback(to, actor=actor or this_user(), reason=reason)
    _print_entry(entry, f"{entry.to_version} is active again; training is frozen until weir models unfreeze", as_json)


@app.command()
def lift(version: VersionName, reason: Why = "asked for by hand", actor: Who = None, as_json: AsJson = False) -> None:
    """End the quarantine of a version that was rolled back, so that what descends from it may be promoted."""
    with opened() as tables:
        tables.operations().lift(version, actor=actor or this_user(), reason=reason)
    if as_json:
        print_json({"version": version, "quarantined": False})
    else:
        typer.echo(f"version {version} is not in quarantine any more")


@app.command()
def freeze(reason: Why = "asked for by hand", actor: Who = None, as_json: AsJson = False) -> None:
    """Stop training: nothing is promoted by itself any more."""
    with opened() as tables:
        entry = tables.operations().freeze(actor=actor or this_user(), reason=reason)
    _print_entry(entry, "training is frozen", as_json)


@app.command()
def unfreeze(reason: Why = "asked for by hand", actor: Who = None, as_json: AsJson = False) -> None:
    """Resume training."""
    with opened() as tables:
        entry = tables.operations().unfreeze(actor=actor or this_user(), reason=reason)
    _print_entry(entry, "training resumes", as_json)


def _refuse_together(options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise InvalidInput(f"{' and '.join(given)} exclude each other: give one of them")


def _refuse_alone(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value:
            raise InvalidInput(f"{name} is for a file of your own: name it with --data, or leave {name} out")


def _print_entry(entry: "Entry", text: str, as_json: bool) -> None:
    if as_json:
        print_json(entry)
    else:
        typer.echo(f"{text} (entry {entry.sequence} of the log)")
