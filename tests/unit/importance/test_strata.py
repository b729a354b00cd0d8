"""The parts of the buffer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.strata import HOLDOUT, NEGATIVE, POSITIVE, STRATA, UNIFORM, StrataPolicy, assign, stratum

POLICY = StrataPolicy(salt="salt")
COUNT = 50_000


@given(st.integers(4, 10**9), st.lists(st.integers(0, 100), min_size=4, max_size=4).filter(any))
def test_capacities_add_up_exactly_and_follow_the_shares(total: int, parts: list[int]) -> None:
    holdout, uniform, positive, negative = (part / sum(parts) for part in parts)
    policy = StrataPolicy(salt="s", shares=(holdout, uniform, positive, negative))
    capacities = policy.capacities(total)
    assert sum(capacities.values()) == total
    assert all(abs(capacities[name] - total * share) < 1 for name, share in zip(STRATA, policy.shares, strict=True))


def test_a_buffer_with_less_capacity_than_strata_is_refused() -> None:
    with pytest.raises(InvalidInput, match="buffer capacity is 3; it must be at least 4"):
        POLICY.capacities(3)


def test_a_subject_is_held_out_with_all_its_samples_or_not_at_all() -> None:
    subjects = [f"subject-{number % 500}" for number in range(COUNT)]
    strata = assign([f"id-{number}" for number in range(COUNT)], subjects, [0] * COUNT, POLICY)
    sides: dict[str, set[bool]] = {}
    for subject, assigned in zip(subjects, strata, strict=True):
        sides.setdefault(subject, set()).add(assigned == HOLDOUT)
    assert all(len(side) == 1 for side in sides.values())


def test_the_parts_have_the_sizes_of_the_policy() -> None:
    ids = [f"id-{number}" for number in range(COUNT)]
    strata = np.array(assign(ids, [f"subject of {id_}" for id_ in ids], [0, 1] * (COUNT // 2), POLICY))
    # 10 % of all; 20 % of the other 90 %; the rest by label, half and half.
    for name, expected in ((HOLDOUT, 0.1), (UNIFORM, 0.18), (POSITIVE, 0.36), (NEGATIVE, 0.36)):
        spread = np.sqrt(expected * (1 - expected) / COUNT)
        assert abs(np.mean(strata == name) - expected) < 4 * spread


@given(st.text("abc"), st.text("abc"))
def test_the_label_decides_only_what_the_hashes_leave_open(sample_id: str, subject: str) -> None:
    with_label, without = stratum(sample_id, subject, 1, POLICY), stratum(sample_id, subject, 0, POLICY)
    assert (with_label, without) in {(HOLDOUT, HOLDOUT), (UNIFORM, UNIFORM), (POSITIVE, NEGATIVE)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"salt": ""}, "the salt has 0 bytes"),
        ({"holdout_ratio": 1.0}, "holdout_ratio is 1.0"),
        ({"uniform_ratio": float("nan")}, "uniform_ratio is nan"),
        ({"shares": (0.5, 0.5, 0.5, -0.5)}, "the shares of the strata are"),
        ({"shares": (0.2, 0.2, 0.2, 0.2)}, "add up to 1"),
    ],
)
def test_a_policy_that_divides_nothing_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        StrataPolicy(**{"salt": "s", **wrong})  # type: ignore[arg-type]  # wrong on purpose
