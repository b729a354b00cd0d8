"""Estimates beside what the stream was."""

import numpy as np
import pytest

from importance.quality import Counts, log_loss, tally, tally_segments
from importance.sample import Sample
from importance.scores import SERVING, Predictions, Scores
from importance.segments import Segments
from importance.stream_comparison import Held, View, compare, weeks_in_view

COUNT = 400
TOLD = Segments("country", (("France", 0.1), ("Spain", 0.0)))
COUNTRIES = ("France", "Spain", "Malta", "Malta")
WEEKS = ["week:2010-12-27", "week:2011-01-03", "week:2011-01-10", "week:2011-01-17"]


def serving(values: np.ndarray) -> dict[str, Predictions]:
    return {SERVING: Predictions("v1", values)}


def stream() -> tuple[list[Sample], np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    samples = [
        Sample(
            f"i{n}", f"s{n}", "search", "q", "i", "t", 1_294_012_800_000, n % 2, n,
            attributes={"country": COUNTRIES[n % 4]},
        )
        for n in range(COUNT)
    ]  # fmt: skip
    return samples, (random.uniform(size=COUNT) < 0.3).astype(np.int64), random.uniform(size=COUNT)


def view(probability: np.ndarray, chosen: np.ndarray, *, counted_from: int = 0) -> View:
    samples, labels, prediction = stream()
    scores = Scores(np.ones(COUNT), "uniform", "v1", predictions=serving(prediction))
    counts: dict[str, Counts] = {}
    tallied = tally(samples, labels.tolist(), scores)
    late = Scores(np.ones(COUNT - counted_from), "uniform", "v1", predictions=serving(prediction[counted_from:]))
    tallied |= tally_segments(samples[counted_from:], labels[counted_from:].tolist(), late, TOLD)
    for key, array in tallied.items():
        if key.span.startswith("week:"):
            counts[key.slice] = counts.get(key.slice, 0) + array
    segment = [TOLD.of(samples[n].attributes) for n in np.flatnonzero(chosen)]
    return View(WEEKS[1:2], Held(probability[chosen], labels[chosen], prediction[chosen], segment), counts)


def test_a_buffer_that_holds_the_stream_says_what_it_was_to_the_digit() -> None:
    everything = np.ones(COUNT, dtype=bool)
    found = compare(view(np.ones(COUNT), everything), TOLD)
    assert [each.statistic for each in found] == [
        "samples", "label rate", "mean loss", "share of country=France", "share of country=Spain",
    ]  # fmt: skip
    for each in found:
        assert each.estimate.value == pytest.approx(each.stream, rel=1e-12)
        assert each.estimate.low == pytest.approx(each.estimate.high)
    samples, labels, prediction = stream()
    assert found[0].stream == COUNT
    assert found[1].stream == labels.mean()
    counts = tally(samples, labels.tolist(), Scores(np.ones(COUNT), "uniform", "v1", predictions=serving(prediction)))
    whole = sum(array for key, array in counts.items() if key.span.startswith("week:"))
    assert found[2].stream == pytest.approx(log_loss(whole))
    assert found[3].stream == 0.25


def test_a_sample_of_the_stream_comes_close_and_its_intervals_hold_the_truth() -> None:
    """Every row with probability ½: a draw whose outcome is fixed by the seed."""
    chosen = np.random.default_rng(3).uniform(size=COUNT) < 0.5
    for each in compare(view(np.full(COUNT, 0.5), chosen), TOLD):
        assert each.stream is not None
        assert each.estimate.low <= each.stream <= each.estimate.high
        assert each.estimate.low < each.estimate.value < each.estimate.high


def test_segments_that_were_not_counted_all_the_while_have_no_control() -> None:
    found = compare(view(np.ones(COUNT), np.ones(COUNT, dtype=bool), counted_from=10), TOLD)
    assert [each.stream is None for each in found] == [False, False, False, True, True]


def test_nothing_is_said_before_anything_was_counted_nor_of_strata_without_places() -> None:
    assert compare(View()) == []
    whole = view(np.ones(COUNT), np.ones(COUNT, dtype=bool))
    assert compare(View(whole.weeks, whole.held, whole.counts, ["holdout"])) == []


@pytest.mark.parametrize(
    ("half_life_days", "first"), [(None, 0), (1, 3), (6, 3), (7, 2), (14, 1), (20, 1), (21, 0), (400, 0)]
)
def test_the_weeks_in_view_reach_back_a_half_life(half_life_days: int | None, first: int) -> None:
    seconds = None if half_life_days is None else 86_400.0 * half_life_days
    assert weeks_in_view([*reversed(WEEKS)], seconds) == WEEKS[first:]


def test_weeks_without_samples_are_not_made_up_for_by_older_ones() -> None:
    assert weeks_in_view([WEEKS[0], WEEKS[3]], 14 * 86_400.0) == [WEEKS[3]]


def test_every_sample_is_of_one_segment() -> None:
    samples, labels, prediction = stream()
    scores = Scores(np.ones(COUNT), "uniform", "v1", predictions=serving(prediction))
    tallied = tally_segments(samples, labels.tolist(), scores, TOLD)
    whole = {key: array for key, array in tally(samples, labels.tolist(), scores).items() if key.predictor == "serving"}
    for key, array in whole.items():
        if key.span.startswith("week:"):
            parts = [each for k, each in tallied.items() if (k.partition, k.span) == (key.partition, key.span)]
            np.testing.assert_array_equal(np.sum(parts, axis=0), array)
    assert {key.slice for key in tallied} == {*TOLD.names, TOLD.other}
    assert tally_segments(samples, labels.tolist(), scores, None) == {}
    assert tally_segments(samples, labels.tolist(), Scores.uniform(COUNT), TOLD) == {}
