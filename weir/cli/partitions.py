"""``weir partitions``: list the progress of each, and reset the event time that a wrong clock has moved."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from importance.errors import Conflict, NotFound, Unavailable
from weir.cli.authorship import Who, Why
from weir.cli.output import AsJson, print_columns, print_json
from weir.cli.status import show_time
from weir.process.actor import this_user

if TYPE_CHECKING:
    from storage.progress import Position, Progresses
    from weir.status.service import Partition

app = typer.Typer(no_args_is_help=True, help="Partitions of the topic of interactions: list them, reset event time.")


class _Partitions(NamedTuple):
    """The topic's partitions at one moment: the progress rows, and the state of each with its owner."""

    progresses: "Progresses"
    positions: "dict[int, Position]"
    states: "list[Partition]"
    now_ms: int

    def is_ahead(self, number: int) -> bool:
        """Return whether the partition's event time is further past the wall clock than allowed."""
        from importance.ceilings import is_ahead

        progress = self.positions[number].progress if number in self.positions else None
        return progress is not None and is_ahead(progress, self.now_ms)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List partitions: owner, next offset, event time and how far it may go, waiting impressions and lag."""
    with _read() as found:
        rows = [(state, found.is_ahead(state.partition)) for state in found.states]
    if as_json:
        print_json([{**_fields(state), "ahead": ahead} for state, ahead in rows])
        return
    print_columns(
        ("partition", "owner", "next", "event time", "ceiling", "waiting", "unread", "undecided"),
        [
            (x.partition, x.owner, x.next, show_time(x.event_time), show_time(x.ceiling), x.waiting, x.unread,
             x.undecided)
            for x, _ in rows
        ],
    )  # fmt: skip
    for state, ahead in rows:
        if ahead:
            number = state.partition
            typer.echo(f"partition {number} lies ahead of the wall clock: see weir partitions reset {number}")


@app.command()
def reset(
    partition: Annotated[int, typer.Argument(metavar="PARTITION", min=0, help="Its number.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
    reason: Why = "asked for by hand",
    actor: Who = None,
    as_json: AsJson = False,
) -> None:
    """Let event time of a partition start again, after a wrong clock has moved it into the future."""
    from importance.ceilings import reset as reset_progress
    from storage.audit import Author, Via

    with _read() as found:
        position, state = _resettable(found, partition)
        assert position.progress is not None
        at, event_time = position.progress.next, show_time(state.event_time)
        if yes:
            author = Author(actor or this_user(), Via.CLI, reason)
            found.progresses.replace(position, reset_progress(position.progress, found.now_ms), author)
    if as_json:
        print_json({"partition": partition, "next": at, "event_time_before": state.event_time, "reset": yes})
    elif not yes:
        typer.echo(
            f"partition {partition}: event time {event_time} would be forgotten, and start again with the next record. "
            f"Reading would start at offset {at}: nothing decided is decided again, ids and actions before it are "
            "forgotten, and records after it count as not read yet.\nNothing was changed; give --yes to do it."
        )
    else:
        typer.echo(
            f"partition {partition}: event time was {event_time}, and starts again at offset {at}; bring back what was "
            f"late: weir dead-letters redrive --reason late --partition {partition}"
        )


def _resettable(found: _Partitions, number: int) -> "tuple[Position, Partition]":
    """Return the partition if a reset is safe and useful; raise NotFound or Conflict otherwise."""
    position = found.positions.get(number)
    if position is None or position.progress is None:
        raise NotFound(f"partition {number} has no progress: see weir partitions list")
    state = next(state for state in found.states if state.partition == number)
    if state.owner is not None:
        raise Conflict(f"partition {number} belongs to the worker {state.owner}: stop all workers first")
    if not found.is_ahead(number):
        raise Conflict(
            f"event time of partition {number} is {show_time(state.event_time) or 'not known yet'}, which is not ahead "
            "of the wall clock: there is nothing to reset"
        )
    return position, state


@contextmanager
def _read() -> "Iterator[_Partitions]":
    from storage.engine import create_engine
    from storage.heartbeats import Heartbeats
    from storage.progress import Progresses
    from weir.demo.addresses import located
    from weir.settings import read
    from weir.settings.topics import measured
    from weir.status.service import partitions

    settings = located(read(), kafka=True, database=True)
    topic = measured(settings)
    if topic.id is None:
        raise Unavailable(f"partitions cannot be distinguished without Kafka: {topic.trouble}")
    engine = create_engine(settings.database_url, pool_size=1)
    try:
        progresses = Progresses(engine, topic.id)
        positions = {position.partition: position for position in progresses.positions()}
        states = partitions(positions.values(), Heartbeats(engine).all(), topic.ends)
        yield _Partitions(progresses, positions, states, int(time.time() * 1_000))
    finally:
        engine.dispose()


def _fields(state: "Partition") -> dict[str, object]:
    from dataclasses import asdict

    return asdict(state)
