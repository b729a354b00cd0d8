"""Options of the commands that change something: who does it, and why. The audit log keeps both."""

from typing import Annotated

import typer

Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the log.")]
Who = Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Who; default: the user of this shell.")]
