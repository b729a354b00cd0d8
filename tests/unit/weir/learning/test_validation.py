"""The holdout in two."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from importance.sample import Sample
from storage.buffer_reader import Draw
from weir.learning.validation import MAX_ROWS, SHARE, divide, split_holdout
from weir.settings import Settings


def draw(subjects: list[str]) -> Draw:
    count = len(subjects)
    numbers, none = np.arange(count), np.zeros(count)
    samples = [Sample(f"i{at}", subject, "search", "", "", "", 0, 0, 0) for at, subject in enumerate(subjects)]
    names = [f"n{at}" for at in range(count)]
    return Draw(samples, numbers, none, none, none, none, numbers, numbers, names, names, names, watermark=count)


@given(st.lists(st.integers(0, 30).map(str), max_size=60))
def test_every_row_is_in_one_part_and_no_subject_in_both(subjects: list[str]) -> None:
    parts = divide(draw(subjects), salt="s")
    validation, judged = ({*part.subject} for part in parts)
    assert not validation & judged
    assert sorted([*parts[0].ids, *parts[1].ids]) == sorted(draw(subjects).ids)
    for part in parts:
        assert [f"i{label}" for label in part.label] == part.ids
        assert [f"n{label}" for label in part.label] == part.stratum
        assert part.watermark == len(subjects)


def test_a_quarter_of_the_subjects_is_for_validation_and_no_more_than_suffice() -> None:
    subjects = [str(number) for number in range(10_000)]
    validation, judged = divide(draw(subjects), salt="s")
    assert len(validation) == MAX_ROWS
    assert abs(len(judged) - (1 - SHARE) * 10_000) < 3 * (10_000 * SHARE * (1 - SHARE)) ** 0.5
    assert not set(divide(draw(subjects[:100]), salt="s")[0].subject) & set(judged.subject), "one choice for all runs"


def test_versions_are_judged_by_the_whole_holdout_unless_a_part_decides_an_early_stop() -> None:
    whole = draw([str(number) for number in range(200)])
    validation, judged = split_holdout(whole, Settings())
    assert (validation.ids, judged.ids) == ([], whole.ids)
    validation, judged = split_holdout(whole, Settings(train_validation_steps=8, salt="s"))
    assert (validation.ids, judged.ids) == tuple(part.ids for part in divide(whole, "s"))
