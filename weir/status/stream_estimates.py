"""What the buffer says of the stream, as people and programs are told: for `weir buffer stats` and the api."""

from dataclasses import dataclass

from importance.stream_comparison import Controlled, controlled
from storage.engine import Engine
from storage.stream_comparison import Controls
from weir.settings import Settings, values


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its estimate with a 95 % interval, and the stream's own; None where that was not counted.

    ``too_few`` rows count towards it: the interval says nothing.
    """

    figure: str
    estimate: float
    low: float
    high: float
    too_few: bool
    stream: float | None

    @classmethod
    def of(cls, found: Controlled) -> "Figure":
        """Told of one that is controlled."""
        each = found.estimate
        return cls(found.figure, each.value, each.low, each.high, each.too_few, found.stream)


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the buffer says of the weeks named in ``note``, or why it says nothing."""

    note: str
    estimates: tuple[Figure, ...]


def estimates(settings: Settings, engine: Engine) -> Estimates:
    """Estimate now. Raises Unavailable."""
    segments = values.segments(settings)
    view = Controls(engine, values.half_life_seconds(settings), values.positive_from(settings), segments).view()
    if view.blind:
        note = f"no estimate of the stream: stratum {view.blind[0]} has no places"
    elif not view.weeks:
        note = "no estimate of the stream: no prediction was counted yet"
    else:
        weeks = "1 week" if len(view.weeks) == 1 else f"{len(view.weeks)} weeks"
        note = f"the stream from {view.weeks[0].removeprefix('week:')} on, {weeks} of event time"
    return Estimates(note, tuple(map(Figure.of, controlled(view, segments))))
