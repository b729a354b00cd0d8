"""Which subjects are answered by the candidate."""

import numpy as np

from importance.canary import is_canary
from importance.shadow import numbers

SUBJECTS = [f"s{number}" for number in range(4_000)]


def chosen(share: float) -> np.ndarray:
    return np.array([is_canary(subject, share, "salt") for subject in SUBJECTS])


def test_about_its_share_of_subjects_is_chosen_and_a_larger_share_keeps_them() -> None:
    small, large = chosen(0.05), chosen(0.3)
    assert 0.035 < small.mean() < 0.065
    assert 0.27 < large.mean() < 0.33
    assert (small <= large).all()
    assert not chosen(0.0).any()
    assert chosen(1.0).all()


def test_a_request_without_a_subject_is_never_answered_by_the_candidate() -> None:
    assert not is_canary(None, 1.0, "salt")


def test_the_choice_is_independent_of_the_numbers_of_the_comparison() -> None:
    halves = np.array(numbers(SUBJECTS, "salt")) < 2**51
    assert abs(chosen(0.3)[halves].mean() - chosen(0.3)[~halves].mean()) < 0.06
