"""``weir replay``: send recorded events to the topic of interactions, at a pace, going on where it stopped."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from importance.errors import InvalidInput
from weir.cli.output import AsJson, print_json
from weir.connection import kafka_connection
from weir.progress import Progress

if TYPE_CHECKING:
    from stream.datasets import Record
    from stream.replay import Advance
    from weir.settings import Settings

TOPIC = "topic:"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="complete_journey, online_retail, open_bandit, simulation, or topic:NAME, a recorded topic.",
        ),
    ],
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N events.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="X", help="X times the speed of life; default: as fast as it goes."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Send a data set's events to Kafka. Run again, it goes on where it stopped; Ctrl-C ends it in order."""
    from stream.replay import Pace, Target
    from stream.replay import replay as send
    from weir.places import located
    from weir.settings import read
    from weir.topics import named_topics

    settings = located(read(), kafka=True)
    target = Target(kafka_connection(settings), named_topics(settings).interactions, f"{dataset}-{settings.seed}")
    if dataset == TOPIC + target.topic:
        raise InvalidInput(f"{target.topic} cannot be replayed into itself: set WEIR_TOPIC_PREFIX for the copy")
    pace = Pace(speed=speed, stop=_stopped_by_signals())
    with closing(Progress(sys.stderr)) as progress:
        records = islice(_records(dataset, settings, progress), limit)

        def told(advance: "Advance") -> None:
            progress.show(f"replaying {dataset}", advance.position, limit or 0)

        ended = send(records, target, settings.attribution_window_seconds, pace, told)
    if as_json:
        print_json({"position": ended.position, "sent": ended.sent, "finished": ended.finished})
    else:
        state = "finished" if ended.finished else "stopped; run it again to go on"
        typer.echo(f"{dataset}: sent {ended.sent} events, {ended.position} are stored; {state}")
    return 0 if ended.finished else 1


def _records(dataset: str, settings: "Settings", progress: Progress) -> "Iterator[Record]":
    if dataset.startswith(TOPIC):
        from stream.datasets.recorded import records_from_topic

        return records_from_topic(kafka_connection(settings), dataset.removeprefix(TOPIC))
    from stream.datasets import open_dataset

    return open_dataset(dataset, settings.seed, settings.data_dir, settings.home, progress.show).events()


def _stopped_by_signals() -> Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    stop = Event()

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop
