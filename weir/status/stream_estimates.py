"""The buffer's estimates of the stream, for `weir buffer stats` and the api."""

from dataclasses import dataclass

from importance.stream_comparison import Comparison, compare
from storage.engine import Engine
from storage.stream_comparison import ComparisonReader
from weir.settings import Settings, values


@dataclass(frozen=True, slots=True)
class StreamEstimate:
    """A statistic ``figure``: its estimate with a 95 % interval, and the stream's value, None if that was not counted.

    ``too_few``: so few rows count towards it that the interval is not reliable.
    """

    figure: str
    estimate: float
    low: float
    high: float
    too_few: bool
    stream: float | None

    @classmethod
    def of(cls, found: Comparison) -> "StreamEstimate":
        """Flatten a comparison."""
        each = found.estimate
        return cls(found.statistic, each.value, each.low, each.high, each.too_few, found.stream)


@dataclass(frozen=True, slots=True)
class Estimates:
    """The estimates of the weeks named in ``note``, or in ``note`` the reason for having none."""

    note: str
    estimates: tuple[StreamEstimate, ...]


def estimates(settings: Settings, engine: Engine) -> Estimates:
    """Estimate the stream from the buffer as it is now. Raises Unavailable."""
    segments = values.segments(settings)
    view = ComparisonReader(engine, values.half_life_seconds(settings), values.positive_from(settings), segments).view()
    if view.blind:
        note = f"no estimate of the stream: stratum {view.blind[0]} has no capacity"
    elif not view.weeks:
        note = "no estimate of the stream: no prediction was counted yet"
    else:
        weeks = "1 week" if len(view.weeks) == 1 else f"{len(view.weeks)} weeks"
        note = f"the stream from {view.weeks[0].removeprefix('week:')} on, {weeks} of event time"
    return Estimates(note, tuple(map(StreamEstimate.of, compare(view, segments))))
