"""Laws of the lineage: what was put in comes out, under pseudonyms only, and a million samples take little room."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.lineage import EncodedLineage, Lineage, Summary, Use
from importance.pseudonyms import Pseudonyms
from importance.sample import Sample
from importance.weights import effective_sample_size

ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),  # the subject
        st.sampled_from(["positive", "negative"]),
        st.floats(0, 10),  # the weight
        st.integers(0, 3),  # how often it was in a batch
        st.booleans(),  # whether the estimators' state was fitted to it
    ),
    max_size=30,
)
OURS = Pseudonyms("salt")


def sample(number: int, subject: int) -> Sample:
    return Sample(f"id-{number}", f"subject-{subject}", "search", "q", "i", "t", 1_000 + number, 0, number)


def lineage_of(rows: list[tuple[int, str, float, int, bool]]) -> Lineage:
    return Lineage.of(
        [sample(number, row[0]) for number, row in enumerate(rows)],
        [row[1] for row in rows],
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.int64),
        np.array([row[4] for row in rows], np.bool_),
        OURS,
    )


@given(ROWS)
def test_an_encoded_lineage_answers_for_every_sample_and_subject(rows: list[tuple[int, str, float, int, bool]]) -> None:
    encoded = EncodedLineage(lineage_of(rows).encode())
    for number, (subject, _, weight, times, measured) in enumerate(rows):
        use = encoded.use_of_sample(int(OURS.of_samples((f"id-{number}",))[0]))
        if not times and not measured:
            assert use is None
            continue
        assert use is not None
        assert (use.samples, use.draws, use.measured) == (int(times > 0), times, int(measured))
        assert use.subject == OURS.of_subject(f"subject-{subject}")
        assert use.weight == pytest.approx(weight if times else 0.0, rel=5e-4, abs=1e-7)
    for subject in range(6):
        own = [row for row in rows if row[0] == subject and (row[3] or row[4])]
        use = encoded.use_of_subject(OURS.of_subject(f"subject-{subject}"))
        expected = (sum(row[3] > 0 for row in own), sum(row[3] for row in own), sum(row[4] for row in own))
        assert (None if use is None else (use.samples, use.draws, use.measured)) == (expected if own else None)


@given(ROWS)
def test_a_lineage_describes_itself(rows: list[tuple[int, str, float, int, bool]]) -> None:
    found = EncodedLineage(lineage_of(rows).encode()).decode()
    trained = [(number, row) for number, row in enumerate(rows) if row[3]]
    draws = np.array([row[2] * row[3] for _, row in trained])
    assert (found.summary.samples, found.summary.draws) == (len(trained), sum(row[3] for _, row in trained))
    assert found.summary.subjects == len({row[0] for _, row in trained})
    assert found.summary.effective_sample_size == pytest.approx(effective_sample_size(draws))
    assert found.summary.earliest_ms == min((1_000 + number for number, _ in trained), default=None)
    assert found.summary.latest_ms == max((1_000 + number for number, _ in trained), default=None)
    assert sum(found.summary.strata.values()) == pytest.approx(1 if trained else 0)
    assert len(found.samples) == len(found.subjects) == len(found.times) == len(found.weights) == len(found.measured)


def test_no_name_is_readable_and_another_salt_gives_other_pseudonyms() -> None:
    encoded = lineage_of([(1, "positive", 1.0, 1, False)]).encode()
    assert b"subject-1" not in encoded
    assert b"id-0" not in encoded
    other = Pseudonyms("other")
    assert other.of_subject("subject-1") != OURS.of_subject("subject-1")
    assert EncodedLineage(encoded).summary.salt == OURS.fingerprint != other.fingerprint
    assert "salt" not in repr(Pseudonyms("salt")).replace("salt=", "")


def test_a_million_samples_of_as_many_subjects_take_less_than_20_megabytes() -> None:
    rng, count = np.random.default_rng(0), 1_000_000
    names = rng.integers(-(2**63), 2**63, (2, count))
    summary = Summary(
        samples=count, subjects=count, draws=count, measured=0, effective_sample_size=1.0, earliest_ms=0, latest_ms=1,
        strata={}, salt=0,
    )  # fmt: skip
    lineage = Lineage(
        names[0],
        np.sort(names[1].view(np.uint64)).view(np.int64),
        rng.integers(21_000_000, 21_500_000, count).astype(np.uint32),  # any minute of a year
        rng.integers(1, 9, count).astype(np.uint32),
        rng.lognormal(size=count).clip(0, 10).astype(np.float16),
        rng.random(count) < 0.1,
        summary,
    )
    encoded = lineage.encode()
    assert 17_000_000 < len(encoded) < 19_000_000
    found = EncodedLineage(encoded)
    assert found.use_of_subject(int(lineage.subjects[77])) == Use(
        int(lineage.subjects[77]), 1, int(lineage.times[77]), float(lineage.weights[77]), int(lineage.measured[77])
    )
    assert np.array_equal(found.samples, lineage.samples)
    assert np.array_equal(found.minutes, lineage.minutes)


@pytest.mark.parametrize("encoded", [b"", b"PK\x03\x04 cut", lineage_of([]).encode()[:-40]])
def test_bytes_that_are_no_lineage_are_refused(encoded: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a lineage"):
        EncodedLineage(encoded)


def test_a_later_format_is_refused_with_the_remedy() -> None:
    lineage = lineage_of([(1, "positive", 1.0, 1, False)])
    later = Lineage(
        lineage.samples, lineage.subjects, lineage.minutes, lineage.times, lineage.weights, lineage.measured,
        msgspec.structs.replace(lineage.summary, format=2),
    )  # fmt: skip
    with pytest.raises(InvalidInput, match="format 2; this release reads 1: use a later one"):
        EncodedLineage(later.encode())
