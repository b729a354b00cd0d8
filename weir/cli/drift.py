"""``weir drift``: where each test of the stream is, its alarms, and the restart of its reference."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from importance.errors import NotFound
from weir.cli.authorship import Who, Why
from weir.cli.output import AsJson, counted, print_columns, print_json
from weir.cli.status import show_time
from weir.cli.tables import Tables, opened
from weir.process.actor import this_user

if TYPE_CHECKING:
    from storage.drift import Drift, Recorded

app = typer.Typer(no_args_is_help=True, help="Drift of the stream: the tests, their alarms, a new reference.")


@app.command()
def show(as_json: AsJson = False) -> None:
    """List the tests: statistic and threshold of the last check, and how many alarms each gave."""
    with opened() as tables:
        drift = _drift(tables)
        states, evaluated_ms, alarms = drift.states(), drift.evaluated_ms(), drift.alarms(5)
    if as_json:
        tests = [
            {
                "test": x.test, "feature": x.feature, "segment": x.segment, "version": x.version,
                "statistic": x.statistic, "threshold": x.threshold, "p_value": x.p_value, "alarms": x.alarms,
                "checked": _time(x.checked_ms),
            }
            for x in states
        ]  # fmt: skip
        print_json({"evaluated": _time(evaluated_ms), "tests": tests})
        return
    if not states:
        typer.echo("nothing was evaluated yet: a trainer evaluates each block of event time once it is complete")
        return
    print_columns(
        ("feature", "segment", "test", "version", "statistic", "threshold", "p-value", "checked", "alarms"),
        [
            (x.feature, x.segment, x.test, x.version, x.statistic, x.threshold, x.p_value,
             show_time(_time(x.checked_ms)) or "reference is not complete", x.alarms)
            for x in states
        ],
    )  # fmt: skip
    typer.echo(f"evaluated up to {show_time(_time(evaluated_ms))} in event time")
    for alarm in alarms:
        typer.echo(_line(alarm))


@app.command()
def alarms(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="At most N.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the latest alarms, newest first."""
    with opened() as tables:
        found = _drift(tables).alarms(limit)
    if as_json:
        print_json([_fields(each) for each in found])
        return
    for each in found:
        typer.echo(_line(each))
    if not found:
        typer.echo("no alarm was given yet")


@app.command()
def restart(
    feature: Annotated[str | None, typer.Option(metavar="NAME", help="Of this feature; default: of all.")] = None,
    reason: Why = "asked for by hand",
    actor: Who = None,
    as_json: AsJson = False,
) -> None:
    """Forget references: what comes next is compared with what comes after it. Alarms stay recorded."""
    from storage.audit import Author, Via

    with opened() as tables:
        count = _drift(tables).restart(Author(actor or this_user(), Via.CLI, reason), feature)
    if feature is not None and not count:
        raise NotFound(f"no test of a feature {feature!r} has seen anything: see weir drift show")
    if as_json:
        print_json({"restarted": count})
    else:
        typer.echo(f"{counted(count, 'test')} start again with the next block")


def _drift(tables: Tables) -> "Drift":
    from weir.settings.drift import drift_reader

    return drift_reader(tables.settings, tables.engine)


def _fields(found: "Recorded") -> dict[str, object]:
    alarm = found.alarm
    return {
        "id": found.id, "time": found.time, "block": _time(alarm.block_ms), "test": alarm.test,
        "feature": alarm.feature, "segment": alarm.segment, "version": alarm.version, "statistic": alarm.statistic,
        "threshold": alarm.threshold, "p_value": alarm.p_value,
    }  # fmt: skip


def _line(found: "Recorded") -> str:
    alarm = found.alarm
    of = alarm.feature if alarm.segment == "all" else f"{alarm.feature} of {alarm.segment}"
    version = f" under {alarm.version}" if alarm.version else ""
    return (
        f"{show_time(_time(alarm.block_ms))}  {alarm.test} of {of}{version}: "
        f"{alarm.statistic:.4g} is above {alarm.threshold:.4g}"
    )


def _time(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1_000, UTC)
