"""The command ``weir``: one file for each command group; here are errors, exit status and ``--debug``.

Exit status: 0 done, 1 failed, 2 wrong usage or setting. An error is one line on standard error. Heavy libraries are
imported by the command that needs them, so that ``weir --help`` starts fast.
"""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from importance.errors import InvalidInput, WeirError
from weir.cli import (
    audit,
    benchmark,
    buffer,
    check,
    dead_letters,
    drift,
    erase,
    lineage,
    migrate,
    models,
    partitions,
    replay,
    roles,
    score,
    selection,
    settings,
    status,
    tokens,
    topics,
    train,
    up,
)

HELP = "Score live interactions, keep the most instructive, keep the model learning, roll back in seconds."


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit status."""
    logging.getLogger().addHandler(logging.NullHandler())  # a library's log line is not a second error line
    words, debug = _without_debug(arguments)
    try:
        status = get_command(create_app()).main(args=words, prog_name="weir", standalone_mode=False)
    except typer.TyperException as error:  # wrong usage
        text = _usage(error)  # empty after a group without a command: its help was printed
        return _fail(f"{text}; see {_command(error)} --help", error.exit_code) if text else error.exit_code
    except typer.Abort:
        return _fail("aborted", 1)
    except BrokenPipeError:  # the reader of our output has closed it, as ``head`` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except WeirError as error:
        if debug:
            raise
        return _fail(str(error), 2 if isinstance(error, InvalidInput) else 1)
    except Exception as error:
        if debug:
            raise
        return _fail(f"{_describe(error)}; add --debug for the traceback", 1)
    return status if isinstance(status, int) else 0


def create_app() -> typer.Typer:
    """Create the application with all commands."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        epilog="Every command takes --help. --debug shows the traceback of an error.",
    )
    app.callback()(_options)
    for group in (up, roles, migrate, topics, check, status, settings, replay, score, audit, erase):
        group.register(app)
    app.add_typer(benchmark.app, name="benchmark")
    models.app.command("lineage")(lineage.lineage)
    app.add_typer(models.app, name="models")
    app.add_typer(train.app, name="train")
    app.add_typer(buffer.app, name="buffer")
    app.add_typer(drift.app, name="drift")
    app.add_typer(selection.app, name="selection")
    app.add_typer(dead_letters.app, name="dead-letters")
    app.add_typer(partitions.app, name="partitions")
    app.add_typer(tokens.app, name="tokens")
    return app


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"weir {version('weirstream')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version.")
    ] = False,
) -> None:
    """Accept the options of ``weir`` itself."""


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Remove ``--debug``, which may be anywhere before a ``--``; return the rest and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    words = [word for word in arguments[:end] if word != "--debug"]
    return [*words, *arguments[end:]], len(words) < end


def _describe(error: Exception) -> str:
    """Return one line about an unexpected error; an error of the file system, such as a full disk, is not internal."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"internal error: {type(error).__name__}: {error}"


def _usage(error: typer.TyperException) -> str:
    """Return what is wrong in the command line: for an option's value its name, the value, and the bound."""
    from pydantic import ValidationError

    from weir.settings.requirement import requirement

    if isinstance(error.__cause__, ValidationError) and isinstance(error, typer.BadParameter) and error.param:
        detail = error.__cause__.errors()[0]
        if (must := requirement(detail)) is not None:
            return f"{error.param.opts[0]} is {detail['input']!r}; it must be {must}"
    return error.format_message().rstrip(".")


def _command(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "weir"


def _fail(text: str, status: int) -> int:
    line = " ".join(text.split())
    print(f"weir: {line}", file=sys.stderr)
    return status
