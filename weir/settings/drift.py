"""Convert settings into what sums the stream for drift, and what evaluates the sums."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from importance.drift.block import Block
from importance.drift.registry import Monitor, Spans, monitors
from importance.drift.sketch_key import SketchKey
from importance.drift.sketches import sketch
from importance.sample import Sample, labels
from importance.scores import Scores
from storage.drift import Drift
from storage.engine import Engine
from weir.settings import Settings
from weir.settings.values import positive_from, segments

Sketch = Callable[[Sequence[Sample], Scores], Mapping[SketchKey, Block]]


def drift_reader(settings: Settings, engine: Engine) -> Drift:
    """Return the blocks, states and alarms in Postgres."""
    return Drift(engine, _block_ms(settings), horizon_ms=round(settings.deduplication_seconds * 1_000))


def drift_monitors(settings: Settings) -> tuple[Monitor, ...]:
    """Return the tests of the stream."""
    return monitors(
        Spans(
            expected_run_blocks=settings.drift_expected_run_seconds / settings.drift_block_seconds,
            reference_blocks=settings.drift_reference_blocks,
            window_blocks=settings.drift_window_blocks,
            stride=max(1, settings.drift_window_blocks // 4),
        )
    )


def drift_sketch(settings: Settings) -> Sketch:
    """Return what a worker adds to the sums of the stream; nothing where drift is off."""
    if settings.drift == "off":
        return lambda _samples, _scores: {}
    of = partial(sketch, block_ms=_block_ms(settings), segments=segments(settings))
    first = positive_from(settings)
    return lambda samples, scores: of(samples, labels(samples, first), scores)


def _block_ms(settings: Settings) -> int:
    return round(settings.drift_block_seconds * 1_000)
