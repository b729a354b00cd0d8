"""``weir train``: list the runs of the trainer and its decisions, simulate other triggers, and request a run."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from importance.errors import InvalidInput
from weir.cli.authorship import Who, Why
from weir.cli.output import AsJson, counted, print_columns, print_json
from weir.cli.tables import opened
from weir.process.actor import this_user

if TYPE_CHECKING:
    from storage.training_decisions import TrainingDecision
    from trainer.triggers.simulation import Firing

app = typer.Typer(
    no_args_is_help=True, help="Fine-tunes: list the runs and decisions, simulate triggers, ask for a run."
)


@app.command()
def runs(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="At most N.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the last runs, newest first: trigger, start, how each ended and why."""
    with opened() as tables:
        found = tables.runs.latest(limit)
    if as_json:
        print_json(found)
        return
    print_columns(
        ("run", "trigger", "started", "seconds", "resumed", "result", "candidate", "asked by", "asked why", "reason"),
        [
            (
                run.id,
                run.trigger,
                f"{run.started:%Y-%m-%d %H:%M:%S}Z",
                None if run.ended is None else round((run.ended - run.started).total_seconds(), 1),
                run.resumed,
                run.result or "not ended",
                run.candidate,
                run.asked_by,
                run.asked_why,
                run.reasons[0] if run.reasons else None,
            )
            for run in found
        ],
    )


@app.command()
def run(reason: Why = "asked for by hand", actor: Who = None, as_json: AsJson = False) -> None:
    """Ask the trainer for a run now. The request stays until a run was carried through."""
    with opened() as tables:
        is_new = tables.operations().train_now(actor=actor or this_user(), reason=reason)
    state = "accepted" if is_new else "coalesced"
    if as_json:
        print_json({"state": state})
    else:
        typer.echo("a run is asked for" if is_new else "a run is asked for already, or runs: the two become one")


@app.command()
def decisions(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="At most N.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what the trainer decided at its latest polls, newest first, and by what."""
    from storage.training_decisions import TrainingDecisions

    with opened() as tables:
        found = TrainingDecisions(tables.engine).latest(limit)
    if as_json:
        print_json([asdict(each) | {"time": _moment(each.time)} for each in found])
        return
    if not found:
        typer.echo("nothing was decided yet: a trainer records its decisions once there is an active version")
        return
    header = ("time", "decision", "new samples", "new mass", "waited", "may train", "last drift", "recent auc", "auc")
    print_columns(header, map(_decision, found))


@app.command()
def simulate(
    instead: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the policy, such as WEIR_TRAIN_AFTER_MASS=900."),
    ] = None,
    runs: Annotated[bool, typer.Option("--runs", help="List every run.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show when other settings would have started runs over the recorded stream, beside the runs that were live."""
    from storage.training_decisions import KEPT, TrainingDecisions
    from trainer.triggers.simulation import simulate as simulated
    from weir.learning.decisions import STORE, decided, ran
    from weir.settings import read
    from weir.settings.training import OF_TRIGGERS, trigger

    settings = read(_assignments(instead or [], OF_TRIGGERS))
    with opened() as tables:
        recorded = TrainingDecisions(tables.engine).latest(KEPT)[::-1]
        ended = [ran(run) for run in tables.runs.latest(KEPT)[::-1] if run.ended is not None]
    able = [decided(each) for each in recorded if each.held_back != STORE]
    firings = list(simulated(able, ended, partial(trigger, settings)))
    live = sum(each.trigger is not None for each in recorded)
    if as_json:
        fired = [asdict(each) | {"time": _moment(each.time)} for each in firings]
        print_json({"decisions": len(recorded), "live_runs": live, "runs": fired})
        return
    if runs:
        print_columns(("time", "trigger", "new samples", "new mass", "waited", "seconds"), map(_firing, firings))
    by_trigger = ", ".join(f"{count} by {name}" for name, count in _counts(firings).items())
    typer.echo(
        f"{counted(len(firings), 'run')} by these settings{': ' if by_trigger else ''}{by_trigger}; "
        f"{sum(each.seconds for each in firings):.1f} s of training. Live: {counted(live, 'run')}, "
        f"over {counted(len(recorded), 'recorded decision')}"
    )


def _decision(decision: "TrainingDecision") -> Sequence[object]:
    from weir.learning.decisions import learning_state

    state = learning_state(decision.state)
    recent = state.recent
    verdict = f"run, by {decision.trigger}" if decision.trigger else f"no run: {decision.held_back or 'nothing fires'}"
    return (
        _shown(decision.time), verdict, state.fresh, state.fresh_mass, state.waited, state.trainable,
        None if state.alarmed is None else _shown(state.alarmed),
        None if recent is None else f"{recent.auc:.4f}", None if recent is None else f"{recent.reference:.4f}",
    )  # fmt: skip


def _firing(firing: "Firing") -> Sequence[object]:
    return _shown(firing.time), firing.trigger, firing.fresh, firing.fresh_mass, firing.waited, round(firing.seconds, 1)


def _counts(firings: Sequence["Firing"]) -> dict[str, int]:
    names = [each.trigger for each in firings]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _assignments(given: Sequence[str], of_triggers: Sequence[str]) -> dict[str, str]:
    """Return the values by variable of ``--set``; raise InvalidInput for what no trigger depends on."""
    pairs = [each.partition("=") for each in given]
    wrong = next(("".join(pair) for pair in pairs if not pair[0] or not pair[1]), None)
    if wrong is not None:
        raise InvalidInput(f"--set is {wrong!r}; it must be NAME=VALUE, such as WEIR_TRAIN_AFTER_MASS=900")
    found = {name.upper(): value for name, _, value in pairs}
    known = [f"WEIR_{name.upper()}" for name in of_triggers]
    if (other := next((name for name in found if name not in known), None)) is not None:
        raise InvalidInput(f"--set names {other}, on which no trigger depends; it must be one of {', '.join(known)}")
    return found


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _shown(seconds: float) -> str:
    return f"{_moment(seconds):%Y-%m-%d %H:%M:%S}Z"
