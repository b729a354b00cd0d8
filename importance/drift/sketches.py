"""What a worker adds to the sums of the stream: each feature of a batch of scored samples, by block and segment."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from importance import quality
from importance.arrays import Booleans, Integers
from importance.drift.block import Block
from importance.drift.registry import SOURCES
from importance.drift.sketch_key import ALL, SketchKey
from importance.errors import InvalidInput
from importance.sample import Sample, outcome_table
from importance.scores import Scores
from importance.segments import Segments

SEGMENTED = ("loss", "click_rate", "prediction", "outcome")
"""The features that are also summed by segment."""

_OUTCOMES = outcome_table()
_MAX_RELATIVE = 1e6  # a version whose mean importance is all but 0 must not end its worker


def sketch(
    samples: Sequence[Sample],
    labels: Sequence[int],
    scores: Scores,
    block_ms: int,
    segments: Segments | None = None,
) -> dict[SketchKey, Block]:
    """Sum each feature by partition, block of event time and segment; only blocks with a sample appear.

    ``labels`` are those at the windows' close. A sample without a price, or a category, adds nothing to that feature.
    """
    count = len(samples)
    if not count == len(labels) == len(scores):
        raise InvalidInput(f"{count} samples, {len(labels)} labels and {len(scores)} scores; there must be one each")
    if not count:
        return {}
    times_ms = np.fromiter((sample.time_ms for sample in samples), np.int64, count)
    blocks = times_ms // block_ms * block_ms
    partitions = np.fromiter((sample.partition for sample in samples), np.int64, count)
    groups = _groups(samples, segments)
    found: dict[SketchKey, Block] = {}
    for feature, version, present, values in _values(samples, labels, scores):
        for segment, inside in groups.items():
            if segment != ALL and feature not in SEGMENTED:
                continue
            for partition in np.unique(partitions[inside]).tolist():
                chosen = present & inside & (partitions == partition)
                for start_ms, block in SOURCES[feature].feature.blocks(_take(values, chosen), blocks[chosen]).items():
                    found[SketchKey(partition, start_ms, version, feature, segment)] = block
    return found


def _groups(samples: Sequence[Sample], segments: Segments | None) -> Mapping[str, Booleans]:
    """Segment → which samples are of it [n]."""
    groups = {ALL: np.ones(len(samples), dtype=bool)}
    if segments is not None:
        own = np.array([segments.of(sample.attributes) for sample in samples], dtype=object)
        groups |= {name: own == name for name in sorted(set(own.tolist()))}
    return groups


def _values(
    samples: Sequence[Sample], labels: Sequence[int], scores: Scores
) -> Iterator[tuple[str, str, Booleans, Any]]:
    """Yield each feature: its name, the version that has a part in it, which samples have it, and all their values."""
    everywhere = np.ones(len(samples), dtype=bool)
    label = np.asarray(labels, dtype=np.int64)
    with np.errstate(over="ignore"):
        relative = np.minimum(scores.importance / (scores.mean_importance or 1.0), _MAX_RELATIVE)
    yield "click_rate", "", everywhere, label.astype(np.float64)
    yield "outcome", "", everywhere, [_OUTCOMES[sample.actions] for sample in samples]
    yield "text_length", "", everywhere, np.fromiter((len(sample.text) for sample in samples), float, len(samples))
    price = np.array([np.nan if sample.value is None else sample.value for sample in samples], dtype=np.float64)
    yield "price", "", np.isfinite(price), price
    category = [sample.attributes.get("category") for sample in samples]
    yield "category", "", np.array([each is not None for each in category]), [str(each) for each in category]
    yield "importance", scores.model, everywhere, relative
    yield "mean_importance", scores.model, everywhere, relative
    if scores.prediction is not None:
        yield "prediction", scores.model, everywhere, scores.prediction
        yield "loss", scores.model, everywhere, quality.losses(label, scores.prediction)
    if scores.embeddings is not None:
        yield "embedding", scores.embeddings.version, everywhere, scores.embeddings.values


def _take(values: Any, chosen: Booleans) -> Any:
    """The chosen values, of an array or a list."""
    if isinstance(values, np.ndarray):
        return values[chosen]
    indices: Integers = np.flatnonzero(chosen)
    return [values[index] for index in indices.tolist()]
