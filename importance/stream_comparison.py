"""Compare the buffer's estimates of the stream with the true values, which were counted.

The estimand is the stream of some whole weeks. The true value comes from the counts that the workers keep by week of
event time: of the label at the window's close and of the prediction of the version then active, in bins. The same is
estimated. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from importance.arrays import Floats, Integers
from importance.estimates import Estimate, mean, share, total
from importance.quality import Counts, log_loss, losses, monday_ms, samples
from importance.segments import Segments


@dataclass(frozen=True, eq=False, slots=True)
class Held:
    """Rows of the buffer, of the weeks in view; every column has n entries.

    ``label`` is the one at the window's close, ``prediction`` P(label = 1) by the version then active. ``segment`` is
    empty without segments.
    """

    probability: Floats
    label: Integers
    prediction: Floats
    segment: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """An estimate of a statistic of the stream, and its true value; None where it was not counted in all weeks."""

    statistic: str
    estimate: Estimate
    stream: float | None


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """The weeks in view, oldest first: their rows in the buffer, and their counts by slice.

    ``blind`` are strata that had samples and have no capacity: then nothing can be estimated of the whole stream.
    """

    weeks: Sequence[str] = ()
    held: Held = field(default_factory=lambda: Held(np.empty(0), np.empty(0, np.int64), np.empty(0)))
    counts: Mapping[str, Counts] = field(default_factory=dict)
    blind: Sequence[str] = ()


def weeks_in_view(counted: Sequence[str], half_life_seconds: float | None) -> list[str]:
    """Return the newest counted week and those that start up to a half-life before it; without decay all.

    Older rows are hardly ever in the buffer and add hardly any information. Counts exist for whole weeks only.

    >>> weeks_in_view(["week:2011-01-03", "week:2011-01-10", "week:2011-01-17", "week:2011-01-24"], 14 * 86_400)
    ['week:2011-01-10', 'week:2011-01-17', 'week:2011-01-24']
    """
    if half_life_seconds is None:
        return sorted(counted)
    newest = monday_ms(max(counted))
    return sorted(week for week in counted if newest - monday_ms(week) <= 1_000 * half_life_seconds)


def compare(view: View, segments: Segments | None = None) -> list[Comparison]:
    """Compare number of samples, label rate, mean loss and segment shares; empty where nothing was counted."""
    counts = view.counts.get("all")
    if counts is None or view.blind:
        return []
    held, count = view.held, samples(counts)
    found = [
        Comparison("samples", total(np.ones(len(held.label)), held.probability), count),
        Comparison("label rate", share(held.label == 1, held.probability), float(counts[1].sum()) / count),
        Comparison("mean loss", mean(losses(held.label, held.prediction), held.probability), log_loss(counts)),
    ]
    if segments is None:
        return found
    counted = {name: samples(view.counts[name]) for name in (*segments.names, segments.other) if name in view.counts}
    in_all_weeks = sum(counted.values()) == count
    own = np.array(held.segment, dtype=object)
    return found + [
        Comparison(
            f"share of {name}",
            share(own == name, held.probability),
            counted.get(name, 0) / count if in_all_weeks else None,
        )
        for name in segments.names
    ]
