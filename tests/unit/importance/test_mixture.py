"""Estimators as they are written in a setting: sums, factors, the guard, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.mixture import GUARD, NAMES, Mixture, Part, parse


@pytest.mark.parametrize("name", NAMES)
def test_every_estimator_alone_is_its_raw_score(name: str) -> None:
    mixture = parse(name)
    assert (str(mixture), mixture.columns) == (name, (name,))
    assert mixture.combine({name: np.array([1.0, 3.0])}, {name: 2.0}).tolist() == [1.0, 3.0]


def test_of_a_sum_each_part_is_divided_by_its_mean_first() -> None:
    scores = {"entropy": np.array([0.1, 0.3]), "novelty": np.array([10.0, 20.0])}
    mixed = parse(" 0.5*entropy +2 * novelty").combine(scores, {"entropy": 0.2, "novelty": 10.0})
    assert mixed.tolist() == pytest.approx([0.5 * 0.1 / 0.2 + 2 * 10 / 10, 0.5 * 0.3 / 0.2 + 2 * 20 / 10])


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=20), st.floats(0.1, 10))
def test_the_mean_of_a_sum_is_the_sum_of_its_factors(scores: list[float], factor: float) -> None:
    column = np.array(scores)
    columns = {"loss": column, "novelty": column[::-1] ** 2}
    means = {name: float(values.mean()) for name, values in columns.items()}
    mixed = parse(f"{factor:.17g}*loss+novelty").combine(columns, means)
    assert mixed.mean() == pytest.approx(factor + 1)


def test_a_part_that_tells_nothing_yet_counts_as_one() -> None:
    scores = {"rho": np.zeros(2), "entropy": np.array([0.1, 0.3])}
    assert parse("rho+entropy").combine(scores, {"rho": 0.0, "entropy": 0.2}).tolist() == pytest.approx([1.5, 2.5])
    assert parse("rho+entropy").combine(scores, {"entropy": 0.2}).tolist() == pytest.approx([1.5, 2.5])


def test_the_guard_multiplies_and_is_part_of_the_name() -> None:
    mixture = parse("loss", guarded=True)
    assert mixture.columns == ("loss", GUARD)
    assert mixture.combine({"loss": np.array([2.0, 4.0]), GUARD: np.array([0.5, 0.1])}, {}).tolist() == [1.0, 0.4]
    assert str(mixture) == "p_holdout*loss"
    assert str(parse("loss+rho", guarded=True)) == "p_holdout*(loss+rho)"


def test_the_parts_are_read_as_they_were_written() -> None:
    assert parse("0.25*rho+entropy").parts == (Part("rho", 0.25), Part("entropy"))
    assert str(parse("0.25 * rho + entropy")) == "0.25*rho+entropy"
    assert str(parse("1e-5*rho + 1000000*entropy + 2.50*loss")) == "0.00001*rho+1000000*entropy+2.5*loss"


@given(
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e6, exclude_min=True), min_size=1, max_size=4), st.booleans()
)
@example({"loss": 1e6, "rho": 0.1234567, "entropy": 5e-324}, False)
def test_a_sum_survives_its_own_text(factors: dict[str, float], guarded: bool) -> None:
    mixture = Mixture(tuple(Part(name, factor) for name, factor in factors.items()), guarded)
    assert parse(str(replace(mixture, guarded=False)), guarded) == mixture


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has an empty part"),
        ("rho+", "has an empty part"),
        ("0.5*", "has an empty part"),
        ("guess", "unknown estimator 'guess'; choose one of uniform"),
        ("rho+entrpy", "unknown estimator 'entrpy'; did you mean entropy"),
        ("rho+rho", "names rho twice"),
        ("0*rho", "factor '0' of estimator '0\\*rho' must be a number above 0"),
        ("-1*rho", "factor '-1'"),
        ("nan*rho", "factor 'nan'"),
        ("inf*rho", "factor 'inf'"),
        ("x*rho", "factor 'x'"),
        ("1*2*rho", "factor '1\\*2'"),
        ("p_holdout", "unknown estimator 'p_holdout'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as refused:
        parse(text)
    assert "\n" not in str(refused.value)
