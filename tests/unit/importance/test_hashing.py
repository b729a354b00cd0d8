"""Uniform numbers of ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from importance import hashing
from importance.errors import InvalidInput
from importance.hashing import uniform, uniforms

IDS = [f"impression-{number}" for number in range(200_000)]


def test_the_numbers_of_200_000_consecutive_ids_are_uniform() -> None:
    assert stats.kstest(uniforms(IDS, "salt", "draw"), "uniform").pvalue > 0.001


@pytest.mark.parametrize(("salt", "purpose"), [("salt", "holdout"), ("another salt", "draw")])
def test_another_purpose_or_salt_draws_independently(salt: str, purpose: str) -> None:
    first, second = uniforms(IDS, "salt", "draw"), uniforms(IDS, salt, purpose)
    counts, *_ = np.histogram2d(first, second, bins=20, range=((0, 1), (0, 1)))
    assert stats.chisquare(counts.ravel()).pvalue > 0.001


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=50))
def test_a_number_belongs_to_its_id_and_not_to_the_batch(ids: list[str]) -> None:
    assert uniforms(ids, "salt", "draw").tolist() == [uniform(text, "salt", "draw") for text in ids]


def test_the_numbers_of_a_release_are_those_of_the_next() -> None:
    """A change here would give every stored sample another key."""
    assert uniforms(["", "a", "ü"], "salt", "draw").tolist() == [
        0.4035681669308594,
        0.5245172334823845,
        0.15918400588456938,
    ]


@pytest.mark.parametrize(("word", "expected"), [(b"\x00" * 8, 0.5 / 2**52), (b"\xff" * 8, 1 - 0.5 / 2**52)])
def test_neither_zero_nor_one_is_ever_drawn(word: bytes, expected: float) -> None:
    drawn = hashing.from_digests([word])
    assert drawn.tolist() == [expected]
    assert 0 < drawn[0] < 1


@pytest.mark.parametrize("salt", ["", "s" * 65, "ü" * 33])
def test_a_salt_that_cannot_key_the_hash_is_refused(salt: str) -> None:
    with pytest.raises(InvalidInput, match=f"the salt has {len(salt.encode())} bytes"):
        hashing.check_salt(salt)
