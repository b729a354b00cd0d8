"""``weir audit``: who changed what, when, by which way, and why."""

from typing import Annotated

import typer

from weir.cli.output import AsJson, print_columns, print_json
from weir.cli.tables import opened


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)


def audit(
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only what was changed from TIME on.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="Only what NAME changed.")] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Only this action, such as models.rollback.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="At most N.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the append-only audit log, newest first: every change with actor, way, action, target and reason."""
    from storage.audit import Audit, Filter
    from weir.cli.times import moment

    wanted = Filter(None if since is None else moment(since), actor, action)
    with opened() as tables:
        entries = Audit(tables.engine).entries(wanted, limit=limit)
    if as_json:
        print_json(entries)
        return
    print_columns(
        ("id", "time", "actor", "via", "action", "target", "reason"),
        [(x.id, f"{x.time:%Y-%m-%d %H:%M:%S}Z", x.actor, x.via, x.action, x.target, x.reason) for x in entries],
    )
