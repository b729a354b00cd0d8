"""``weir migrate``: bring the database to this version's tables, or back."""

from typing import Annotated

import typer

from importance.errors import InvalidInput
from weir.cli.output import AsJson, print_facts, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate)


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 when a migration is due.")] = False,
    down: Annotated[
        str | None, typer.Option(metavar="REVISION", help="Migrate down to REVISION (base: remove every table).")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Bring the database to the tables that this version knows. A second migrator waits for the first."""
    from weir.demo.addresses import located
    from weir.settings import read

    if check and down is not None:
        raise InvalidInput("--check and --down are given; choose one")
    settings = located(read(), database=True)
    from alembic.util import CommandError

    from storage.engine import create_engine
    from storage.migrate import current, downgrade, head, upgrade

    engine = create_engine(settings.database_url)
    try:
        before = current(engine)
        if down is not None:
            downgrade(engine, down)
        elif not check:
            upgrade(engine)
        facts = {"before": before, "now": current(engine), "head": head()}
    except CommandError as error:
        wanted = "newest" if down is None else down
        raise InvalidInput(f"no way leads from {before} to the tables of {wanted} ({error})") from error
    finally:
        engine.dispose()
    if as_json:
        print_json(facts)
    else:
        print_facts(facts.items())
    return int(check and facts["now"] != facts["head"])
