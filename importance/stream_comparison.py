"""Compare the buffer's estimates of the stream with the true values, which were counted.

The estimand is the stream of some whole weeks. The true value comes from the counts that the workers keep by week of
event time; they know the label at the window's close and the prediction of the version that served, in bins, so the
same is estimated. Pure.
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

    ``label`` is the one at the window's close, ``prediction`` P(label = 1) by the version that served. ``segment`` is
    empty without segments.
    """

    probability: Floats
    label: Integers
    prediction: Floats
    segment: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Controlled:
    """An estimate of a figure of the stream, and the figure itself; None where it was not counted all the while."""

    figure: str
    estimate: Estimate
    stream: float | None


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """The weeks in view, oldest first: what the buffer holds of them, and what was counted of them, by slice.

    ``blind`` are strata that had samples and have no capacity: of the whole stream nothing can be estimated then.
    """

    weeks: Sequence[str] = ()
    held: Held = field(default_factory=lambda: Held(np.empty(0), np.empty(0, np.int64), np.empty(0)))
    counts: Mapping[str, Counts] = field(default_factory=dict)
    blind: Sequence[str] = ()


def weeks_in_view(counted: Sequence[str], half_life_seconds: float | None) -> list[str]:
    """The newest counted week and those that start up to a half-life before it; without decay all.

    Beyond, rows have hardly any chance and add hardly any information. Whole weeks, since those are counted.

    >>> weeks_in_view(["week:2011-01-03", "week:2011-01-10", "week:2011-01-17", "week:2011-01-24"], 14 * 86_400)
    ['week:2011-01-10', 'week:2011-01-17', 'week:2011-01-24']
    """
    if half_life_seconds is None:
        return sorted(counted)
    newest = monday_ms(max(counted))
    return sorted(week for week in counted if newest - monday_ms(week) <= 1_000 * half_life_seconds)


def controlled(view: View, segments: Segments | None = None) -> list[Controlled]:
    """Number of samples, label rate, mean loss and the segments' shares; empty where nothing was counted."""
    counts = view.counts.get("all")
    if counts is None or view.blind:
        return []
    held, count = view.held, samples(counts)
    found = [
        Controlled("samples", total(np.ones(len(held.label)), held.probability), count),
        Controlled("label rate", share(held.label == 1, held.probability), float(counts[1].sum()) / count),
        Controlled("mean loss", mean(losses(held.label, held.prediction), held.probability), log_loss(counts)),
    ]
    if segments is None:
        return found
    counted = {name: samples(view.counts[name]) for name in (*segments.names, segments.other) if name in view.counts}
    all_the_while = sum(counted.values()) == count
    own = np.array(held.segment, dtype=object)
    return found + [
        Controlled(
            f"share of {name}",
            share(own == name, held.probability),
            counted.get(name, 0) / count if all_the_while else None,
        )
        for name in segments.names
    ]
