"""``weir models export|import|card|mirror``: versions as directories of transformers, and back, and in MLflow."""

from pathlib import Path
from typing import Annotated

import typer

from importance.errors import InvalidInput
from weir.cli.output import AsJson, counted, print_json
from weir.cli.tables import opened

_Version = Annotated[str, typer.Argument(metavar="VERSION", help="A version of weir models list.")]


def export(
    version: _Version,
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="The new directory to write.")],
    as_json: AsJson = False,
) -> None:
    """Write a version as a directory that transformers loads without Weir, with its model card."""
    from weir.learning.exchange import export_version

    with opened() as tables:
        export_version(tables.settings, tables.registry, version, directory)
    if as_json:
        print_json({"version": version, "directory": str(directory)})
    else:
        typer.echo(f"version {version} written: {directory}; README.md in it shows how to load it")


def import_(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A directory, or a name on the Hugging Face Hub.")],
    as_json: AsJson = False,
) -> None:
    """Register a model of transformers, or an exported version, as a candidate, judged on the buffer's holdout."""
    from storage.buffer_reader import BufferReader
    from weir.learning.exchange import import_version

    with opened() as tables:
        version = import_version(tables.settings, tables.registry, BufferReader(tables.engine), source)
    if as_json:
        print_json({"version": version, "state": "candidate"})
    else:
        typer.echo(f"{version} is a candidate: see weir models show {version}, then weir models promote {version}")


def card(version: _Version, as_json: AsJson = False) -> None:
    """Print the model card of a version: what it was made of, how it was judged, and how to load it."""
    from weir.learning.exchange import card_of

    with opened() as tables:
        text = card_of(tables.settings, tables.registry, version)
    if as_json:
        print_json({"version": version, "card": text})
    else:
        typer.echo(text)


def mirror(as_json: AsJson = False) -> None:
    """Mirror the versions in MLflow now, as the trainer does: runs, model versions, and the alias champion."""
    from weir.roles.mirroring import mlflow_mirror

    with opened() as tables:
        if not tables.settings.mlflow_uri:
            raise InvalidInput("nothing is mirrored: set WEIR_MLFLOW_URI to a server or database of MLflow")
        changes = mlflow_mirror(tables.settings, tables.engine).synchronise()
    if as_json:
        print_json({"model": tables.settings.mlflow_model, "changes": changes})
    else:
        typer.echo(f"{tables.settings.mlflow_model} in MLflow is up to date: {counted(changes, 'change')}")
