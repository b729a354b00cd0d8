"""What the buffer says of the stream, read with the counts of the same moment."""

import numpy as np
import pytest
import sqlalchemy as sa

from importance.quality import tally, tally_segments
from importance.reservoir import AdmissionPolicy, admit
from importance.sample import Correction, Sample
from importance.scores import SERVING, Predictions, Scores
from importance.segments import Segments
from importance.strata import StrataPolicy
from importance.stream_comparison import Comparison, compare
from storage.buffer import Buffer
from storage.stream_comparison import ComparisonReader
from tests.support.storage import TOPIC, Owner, offer

MONDAY_MS, WEEK_MS = 1_294_012_800_000, 7 * 86_400_000
TOLD = Segments("country", (("France", 0.1), ("Spain", 0.0)))
POLICY = AdmissionPolicy(
    StrataPolicy("salt", shares=(0.2, 0.2, 0.25, 0.25), segments=TOLD), "salt", 0.25, 14 * 86_400.0
)
COUNT = 4_000


def serving(values: np.ndarray) -> dict[str, Predictions]:
    return {SERVING: Predictions("v1", values)}


def stream() -> list[Sample]:
    """Four weeks; every third sample is of France, every tenth has a click."""
    return [
        offer(
            f"i{n}", 0.0, subject=f"s{n}", offset=n, actions=int(n % 10 == 0),
            time_ms=MONDAY_MS + n * 4 * WEEK_MS // COUNT, attributes={"country": "France" if n % 3 == 0 else "Malta"},
        ).sample
        for n in range(COUNT)
    ]  # fmt: skip


def filled(engine: sa.Engine, capacity: int) -> Owner:
    owner = Owner(engine, Buffer(engine, POLICY.strata.capacities(capacity), TOPIC))
    random = np.random.default_rng(1)
    samples = stream()
    for start in range(0, COUNT, 500):
        part = samples[start : start + 500]
        scores = Scores(random.lognormal(size=500), "loss", "v1", predictions=serving(random.uniform(0.01, 0.3, 500)))
        labels = [sample.actions for sample in part]
        counts = tally(part, labels, scores) | tally_segments(part, labels, scores, TOLD)
        owner.flush(admit(part, scores, POLICY, owner.buffer.thresholds()), quality=counts)
    return owner


def told(engine: sa.Engine, half_life_seconds: float | None) -> dict[str, Comparison]:
    view = ComparisonReader(engine, half_life_seconds, segments=TOLD).view()
    return {each.statistic: each for each in compare(view, TOLD)}


def test_a_buffer_with_room_for_all_says_what_the_stream_was(engine: sa.Engine) -> None:
    filled(engine, 10 * COUNT)
    found = told(engine, None)
    assert found["samples"].stream == COUNT
    assert found["label rate"].stream == pytest.approx(0.1)
    assert found["share of country=France"].stream == pytest.approx(1 / 3, abs=1e-3)
    for each in found.values():
        assert each.estimate.value == pytest.approx(each.stream, rel=1e-9)


def test_a_full_buffer_comes_close_over_the_weeks_in_view(engine: sa.Engine) -> None:
    filled(engine, 800)
    found = told(engine, 14 * 86_400.0)
    assert found["samples"].stream == 3 * COUNT / 4  # of four weeks the last three
    for each in found.values():
        spread = each.estimate.high - each.estimate.low
        assert abs(each.estimate.value - each.stream) < spread  # two widths of a 95 % interval: four sigma
        assert not each.estimate.too_few or each.statistic == "share of country=Spain"


def test_late_actions_change_labels_but_not_what_is_compared(engine: sa.Engine) -> None:
    owner = filled(engine, 10 * COUNT)
    before = told(engine, None)["label rate"]
    owner.flush(corrections=[Correction(f"i{n}", 1) for n in range(500)])
    assert told(engine, None)["label rate"] == before


def test_a_stratum_without_places_is_named(engine: sa.Engine) -> None:
    capacities = POLICY.strata.capacities(800) | {"holdout": 0}
    owner = Owner(engine, Buffer(engine, capacities, TOPIC))
    owner.flush([offer(f"h{n}", float(n), "holdout") for n in range(3)])
    assert ComparisonReader(engine, None).view().weeks == ()
    scores = Scores(np.ones(1), "loss", "v1", predictions=serving(np.array([0.5])))
    owner.flush([offer("a", 1.0)], quality=tally([offer("a", 1.0).sample], [0], scores))
    assert ComparisonReader(engine, None).view().blind == ["holdout"]


def test_before_anything_was_counted_nothing_is_in_view(engine: sa.Engine) -> None:
    assert compare(ComparisonReader(engine, None).view()) == []
