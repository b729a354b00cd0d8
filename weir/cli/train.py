"""``weir train``: list the runs of the trainer, and request one."""

from typing import Annotated

import typer

from weir.cli.authorship import Who, Why
from weir.cli.models import opened
from weir.cli.output import AsJson, print_columns, print_json
from weir.process.actor import this_user

app = typer.Typer(no_args_is_help=True, help="Fine-tunes: list the runs, ask for one.")


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
        ("run", "trigger", "started", "seconds", "result", "candidate", "asked by", "asked why", "reason"),
        [
            (
                run.id,
                run.trigger,
                f"{run.started:%Y-%m-%d %H:%M:%S}Z",
                None if run.ended is None else round((run.ended - run.started).total_seconds(), 1),
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
        typer.echo("a run is asked for" if is_new else "a run is asked for already, or goes on: the two become one")
