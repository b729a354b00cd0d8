"""Options of the commands that read a user's file."""

from typing import Annotated

import typer

ColumnOption = Annotated[
    list[str], typer.Option("--column", metavar="NAME=COLUMN", help="What the file calls a column; may be repeated.")
]
PositiveOption = Annotated[str | None, typer.Option("--positive", metavar="VALUE", help="The label that counts as 1.")]
DelimiterOption = Annotated[
    str | None,
    typer.Option(
        "--delimiter", metavar="SIGN", help="What separates the fields of a .csv file: one character, or tab."
    ),
]
