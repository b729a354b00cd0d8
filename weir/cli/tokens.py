"""``weir tokens``: create, list and revoke the tokens of the HTTP interface."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from weir.cli.authorship import Who, Why
from weir.cli.output import AsJson, print_columns, print_facts, print_json
from weir.cli.status import show_time
from weir.cli.tables import opened
from weir.process.actor import this_user

if TYPE_CHECKING:
    from datetime import datetime

    from storage.tokens import Token

app = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP interface: create, list, revoke.")

TokenName = Annotated[str, typer.Argument(metavar="NAME", help="The name of the token; the audit log has it.")]


@app.command()
def create(
    name: TokenName,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="viewer: reads; scorer: scores and ranks only; operator: everything.")
    ],
    expires: Annotated[str, typer.Option(metavar="TIME", help="Its lifetime: 90d, 12h or never.")] = "90d",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the token and nothing else.")] = False,
    reason: Why = "asked for by hand",
    actor: Who = None,
    as_json: AsJson = False,
) -> None:
    """Create a token and print it, this once: only its hash is stored."""
    from importance.errors import InvalidInput
    from storage.audit import Author, Via
    from storage.tokens import Role, Tokens
    from weir.cli.times import lifetime

    if role not in (*Role,):
        raise InvalidInput(f"--role is {role!r}; it must be one of {', '.join(Role)}")
    lives = None if expires == "never" else lifetime("--expires", expires)
    with opened() as tables:
        author = Author(actor or this_user(), Via.CLI, reason)
        secret, token = Tokens(tables.engine).create(name, Role(role), lives, author)
    if quiet:
        typer.echo(secret)
    elif as_json:
        print_json({"token": secret, "name": token.name, "role": token.role, "expires": token.expires})
    else:
        expiry = show_time(token.expires) or "never"
        print_facts((("name", token.name), ("role", token.role), ("expires", expiry), ("token", secret)))
        typer.echo("the token is not shown again: keep it as a secret", err=True)


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Also those that have expired or were revoked.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the live tokens, oldest first: name, role, expiry and last use, never the token itself."""
    from storage.tokens import Tokens

    with opened() as tables:
        tokens = Tokens(tables.engine)
        found, now = tokens.all(), tokens.now()
    rows = [(token, _state(token, now)) for token in found if every or token.is_live(now)]
    if as_json:
        print_json([{**asdict(token), "state": state} for token, state in rows])
        return
    print_columns(
        ("name", "role", "state", "created", "by", "expires", "last used"),
        [
            (x.name, x.role, state, show_time(x.created), x.created_by, show_time(x.expires), show_time(x.last_used))
            for x, state in rows
        ],
    )


@app.command()
def revoke(name: TokenName, reason: Why = "asked for by hand", actor: Who = None, as_json: AsJson = False) -> None:
    """Revoke a token: within 5 seconds no role api accepts it."""
    from storage.audit import Author, Via
    from storage.tokens import Tokens

    with opened() as tables:
        token = Tokens(tables.engine).revoke(name, Author(actor or this_user(), Via.CLI, reason))
    if as_json:
        print_json(token)
    else:
        typer.echo(f"{token.name} is revoked")


def _state(token: "Token", now: "datetime") -> str:
    if token.revoked is not None:
        return "revoked"
    return "live" if token.is_live(now) else "expired"
