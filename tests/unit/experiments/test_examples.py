"""What a pool of some size is made of."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.examples import Examples, Fold
from importance.errors import InvalidInput
from tests.unit.experiments.shop import shop


def _grouped(*sizes: int) -> Examples:
    """The shop with a pool of groups of those sizes."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    examples = shop(count=len(groups) * 3 // 2)
    kept = np.full(len(examples), len(sizes))
    kept[examples.rows(Fold.POOL)] = groups
    return replace(examples, groups=kept)


def _sizes(examples: Examples) -> list[int]:
    """How many rows of the pool each group has there."""
    return sorted(np.unique(examples.groups[examples.rows(Fold.POOL)], return_counts=True)[1].tolist())


def test_a_group_that_is_too_large_is_left_out_and_the_others_are_taken() -> None:
    examples = _grouped(300, *[10] * 30)
    assert _sizes(examples.at_most(200)) == [10] * 20
    assert sum(_sizes(_grouped(*[70] * 4, *[4] * 10).at_most(100))) >= 90


def test_where_no_group_fits_the_refusal_names_group_and_pool() -> None:
    line = "shop: the smallest group has 190 rows, and the grid's pool is 150: raise the pool, or give smaller groups"
    with pytest.raises(InvalidInput, match=line):
        _grouped(200, 190, 210).at_most(150)


def test_of_small_groups_those_are_taken_that_come_first_in_the_order() -> None:
    examples = shop()
    rows = examples.rows(Fold.POOL)
    names, sizes = np.unique(examples.groups[rows], return_counts=True)
    order = np.random.default_rng(0).permutation(len(names))
    first = names[order[np.cumsum(sizes[order]) <= 101]]
    smaller = examples.at_most(101)
    assert set(smaller.groups[smaller.rows(Fold.POOL)].tolist()) == set(first.tolist())


def test_a_pool_that_is_small_enough_stays() -> None:
    assert shop().at_most(None).digest() == shop().at_most(400).digest() == shop().digest()
