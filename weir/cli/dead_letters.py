"""``weir dead-letters``: list the records that are not valid events, and redrive them."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from importance.errors import InvalidInput, NotFound
from importance.events import REASONS
from weir.cli.authorship import Who
from weir.cli.output import AsJson, print_columns, print_json
from weir.process.actor import this_user

if TYPE_CHECKING:
    from stream.dead_letters import DeadLetter
    from weir.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Messages that are not valid events: list them, send them back.")

Reason = Annotated[str | None, typer.Option(metavar="WORD", help="Only those with this reason.")]
Partition = Annotated[int | None, typer.Option(min=0, metavar="P", help="Only those that lay in partition P.")]
Offset = Annotated[int | None, typer.Option(min=0, metavar="O", help="Only the one that lay at offset O.")]


@app.command("list")
def list_(
    reason: Reason = None,
    partition: Partition = None,
    offset: Offset = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N.")] = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters: reason and detail, where they lay, what they hold. With --json one object a line."""
    from itertools import islice

    from stream.dead_letters import read
    from weir.demo.addresses import located
    from weir.settings import read as read_settings
    from weir.settings.connection import kafka_connection
    from weir.settings.topics import named_topics

    chosen = _chooser(reason, partition, offset)
    settings = located(read_settings(), kafka=True)
    letters = islice(read(kafka_connection(settings), named_topics(settings).dead, chosen), limit)
    if as_json:
        for letter in letters:
            print_json(_fields(letter))
    else:
        print_columns(
            ("reason", "detail", "topic", "partition", "offset", "value"),
            [(x.reason, _printable(x.detail), x.topic, x.partition, x.offset, _excerpt(x.value)) for x in letters],
        )


@app.command()
def redrive(
    reason: Reason = None,
    partition: Partition = None,
    offset: Offset = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    value: Annotated[
        str | None, typer.Option(metavar="JSON", help="Send this instead; needs --partition and --offset.")
    ] = None,
    actor: Who = None,
    as_json: AsJson = False,
) -> int:
    """Send dead letters back to the topic they came from, as they were or fixed. A repeat changes nothing."""
    from stream import dead_letters
    from weir.demo.addresses import located
    from weir.settings import read
    from weir.settings.connection import kafka_connection
    from weir.settings.topics import named_topics

    if every == any(choice is not None for choice in (reason, partition, offset)):
        raise InvalidInput("nothing or too much is chosen; give --all, or some of --reason, --partition, --offset")
    if value is not None and (partition is None or offset is None):
        raise InvalidInput("--value fixes one letter; name it by --partition and --offset")
    chosen = _chooser(reason, partition, offset)
    settings = located(read(), kafka=True, database=True)
    letters = dead_letters.read(kafka_connection(settings), named_topics(settings).dead, chosen)
    letters = _recorded(
        letters,
        settings,
        actor or this_user(),
        {"reason": reason, "partition": partition, "offset": offset, "fixed": value is not None},
    )
    replacement = None if value is None else value.encode()
    empty: list[DeadLetter] = []

    def fix(letter: "DeadLetter") -> bytes | None:
        if replacement is None and letter.value is None:
            empty.append(letter)
        return letter.value if replacement is None else replacement

    sent = dead_letters.redrive(kafka_connection(settings), letters, fix)
    if not sent and not empty:
        raise NotFound("no dead letter is as chosen; see weir dead-letters list")
    if empty:
        first = empty[0].source
        note = (
            f"{len(empty)} of the chosen letters have no value, so they cannot be sent: what was too large for a "
            "letter is still in its topic, the first in {}, partition {}, offset {}".format(*first)
        )
        if not sent:
            raise NotFound(note)
        typer.echo(note, err=True)
    if as_json:
        print_json({"sent": sent})
    else:
        typer.echo(f"sent {sent}")
    return 0


def _recorded(
    letters: "Iterator[DeadLetter]", settings: "Settings", actor: str, choice: Mapping[str, object]
) -> "Iterator[DeadLetter]":
    """Yield the letters, once the audit log has the redrive: also an interrupted one has sent something.

    Without letters there is no change, and no entry.
    """
    from storage.audit import Action, Audit, Author, Via
    from storage.engine import create_engine

    for number, letter in enumerate(letters):
        if number == 0:
            engine = create_engine(settings.database_url, pool_size=1)
            try:
                Audit(engine).record(Author(actor, Via.CLI), Action.REDRIVE, letter.topic, choice)
            finally:
                engine.dispose()
        yield letter


def _chooser(reason: str | None, partition: int | None, offset: int | None) -> "Callable[[DeadLetter], bool]":
    if reason is not None and reason not in REASONS:
        raise InvalidInput(f"--reason is {reason!r}; it must be one of {', '.join(REASONS)}")

    def chosen(letter: "DeadLetter") -> bool:
        return (
            reason in (None, letter.reason)
            and partition in (None, letter.partition)
            and offset in (None, letter.offset)
        )

    return chosen


def _fields(letter: "DeadLetter") -> dict[str, object]:
    """Return the letter for JSON: bytes that are not UTF-8 are written in hexadecimal, under another name."""
    why = {"reason": letter.reason, "detail": letter.detail or None}
    position = {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset}
    return {**why, **position, **_readable("key", letter.key), **_readable("value", letter.value)}


def _readable(name: str, content: bytes | None) -> dict[str, object]:
    try:
        return {name: None if content is None else content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_hex": (content or b"").hex()}


def _excerpt(content: bytes | None, longest: int = 100) -> str:
    """Return the start of a value on one line, without control characters."""
    if content is None:
        return "(no value)"
    text = _printable(content[: longest * 4].decode(errors="replace"))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _printable(text: str) -> str:
    return ascii(text)[1:-1]
