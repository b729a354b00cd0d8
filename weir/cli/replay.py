"""``weir replay``: send recorded events to the topic of interactions, at a given speed; run again, it resumes."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from importance.errors import InvalidInput
from weir.cli.output import AsJson, counted, print_json
from weir.demo.progress_bar import Progress
from weir.settings.connection import kafka_connection

if TYPE_CHECKING:
    from importance.messages import Record
    from stream.replay import Advance
    from weir.settings import Settings

TOPIC = "topic:"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="complete_journey, online_retail, open_bandit, simulation; a .jsonl or .parquet file of events; "
            "or topic:NAME, a recorded topic.",
        ),
    ],
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N events.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="X", help="X times the speed of life; default: as fast as it goes."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Send the events of a data set or a file to Kafka. Run again, it continues; Ctrl-C ends it in order."""
    from stream.replay import Pace, Target
    from stream.replay import replay as send
    from weir.demo.addresses import located
    from weir.settings import read
    from weir.settings.topics import named_topics

    _check_source(source)
    settings = located(read(), kafka=True)
    topic = named_topics(settings).interactions
    if source == TOPIC + topic:
        raise InvalidInput(f"{topic} cannot be replayed into itself: set WEIR_TOPIC_PREFIX for the copy")
    with closing(Progress(sys.stderr)) as progress, _opened(source, settings, progress) as opened:
        target = Target(kafka_connection(settings), topic, opened.name, opened.backfill)
        pace = Pace(speed=speed, stop=_stopped_by_signals())

        def show_advance(advance: "Advance") -> None:
            progress.show(f"replaying {source}", advance.position, limit or opened.total)

        records = islice(opened.records, limit)
        ended = send(records, target, settings.attribution_window_seconds, pace, show_advance)
    if as_json:
        print_json({"position": ended.position, "sent": ended.sent, "finished": ended.finished})
    else:
        state = "finished" if ended.finished else "stopped; run it again to continue"
        typer.echo(f"{source}: sent {counted(ended.sent, 'event')}; the topic holds {ended.position:,} of it; {state}")
    return 0 if ended.finished else 1


class _Opened(NamedTuple):
    """A replay: its records in order, a name that distinguishes it from other replays, and their number if known."""

    records: "Iterator[Record]"
    name: str
    total: int = 0
    backfill: bool = False


def _check_source(source: str) -> None:
    """Refuse an unknown source, before any service is needed."""
    from datasets import NAMES

    if source.startswith(TOPIC) or source in NAMES:
        return
    if not Path(source).suffix:
        raise InvalidInput(
            f"{source!r} is unknown; replay one of {', '.join(NAMES)}, a file that ends in .jsonl or .parquet, "
            f"or {TOPIC}NAME"
        )
    if not Path(source).is_file():
        raise InvalidInput(f"there is no file {source}: name a .jsonl or .parquet file of events")


@contextmanager
def _opened(source: str, settings: "Settings", progress: Progress) -> Iterator[_Opened]:
    from datasets import NAMES, open_dataset

    name = f"{source}-{settings.seed}"
    if source.startswith(TOPIC):
        from stream.recorded_topic import records_from_topic

        yield _Opened(records_from_topic(kafka_connection(settings), source.removeprefix(TOPIC)), name)
    elif source in NAMES:
        yield _Opened(
            open_dataset(source, settings.seed, settings.data_dir, settings.home, progress.show).events(), name
        )
    else:
        from datasets.events_file import open_events
        from importance.fields import Fields

        def read(count: int) -> None:
            progress.show(f"reading {source}", count, 0)

        with open_events(Path(source), Fields.parse(settings.fields), int(time.time() * 1_000), read) as events:
            yield _Opened(events.records(), f"file-{events.name}", events.count, backfill=True)


def _stopped_by_signals() -> Event:
    """Return an event that the first SIGINT or SIGTERM sets; the second one ends the process at once."""
    stop = Event()

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop
