"""Values of an attribute that have strata of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.segments import Segments
from importance.strata import HOLDOUT, NEGATIVE, POSITIVE, STRATA, UNIFORM, StrataPolicy, assign

TOLD = Segments("country", (("France", 0.1), ("Spain", 0.0), ("3", 0.05), ("true", 0.05)))
POLICY = StrataPolicy("salt", shares=(0.2, 0.2, 0.2, 0.2), segments=TOLD)


@pytest.mark.parametrize(
    ("attributes", "segment"),
    [
        ({"country": "France"}, "country=France"),
        ({"country": "Spain"}, "country=Spain"),
        ({"country": 3}, "country=3"),
        ({"country": True}, "country=true"),
        ({"country": "france"}, "country=(other)"),
        ({"country": None}, "country=(other)"),
        ({"city": "France"}, "country=(other)"),
        ({}, "country=(other)"),
    ],
)
def test_a_sample_belongs_to_the_segment_of_its_value(attributes: dict[str, str | int | None], segment: str) -> None:
    assert TOLD.of(attributes) == segment


def test_only_a_value_with_a_share_is_a_stratum() -> None:
    assert POLICY.names == (*STRATA, "country=France", "country=3", "country=true")
    assert POLICY.capacities(1_000)["country=France"] == 100
    assert sum(POLICY.capacities(1_000).values()) == 1_000


@given(st.lists(st.tuples(st.sampled_from(["France", "Spain", "Malta"]), st.integers(0, 1)), min_size=1))
def test_a_segment_takes_from_the_labels_and_never_from_holdout_or_uniform(rows: list[tuple[str, int]]) -> None:
    ids = [f"id-{number}" for number in range(len(rows))]
    labels, attributes = [label for _, label in rows], [{"country": country} for country, _ in rows]
    without = assign(ids, ids, labels, StrataPolicy("salt"))
    for (country, _), before, after in zip(rows, without, assign(ids, ids, labels, POLICY, attributes), strict=True):
        moves = country == "France" and before in (POSITIVE, NEGATIVE)
        assert after == ("country=France" if moves else before)
        assert before in (HOLDOUT, UNIFORM, POSITIVE, NEGATIVE)


def test_a_share_that_makes_no_place_is_refused() -> None:
    with pytest.raises(InvalidInput, match="country=3 gets no capacity of 9: raise its share"):
        POLICY.capacities(9)


@pytest.mark.parametrize(
    ("attribute", "shares", "message"),
    [
        ("", (("a", 0.1),), "need the name of an attribute"),
        ("x", (), "at least one value"),
        ("x", (("", 0.1),), "at least one value"),
        ("x", (("a", 0.1), ("a", 0.2)), "named twice"),
        ("x", (("a", 1.0),), "outside 0 to 1"),
        ("x", (("a", float("nan")),), "outside 0 to 1"),
    ],
)
def test_segments_that_cannot_be_distinguished_are_refused(
    attribute: str, shares: tuple[tuple[str, float], ...], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        Segments(attribute, shares)


def test_shares_of_segments_count_towards_the_whole() -> None:
    with pytest.raises(InvalidInput, match="add up to 1"):
        StrataPolicy("salt", segments=TOLD)
