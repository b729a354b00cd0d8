"""The mixture of a batch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.tuning import FineTuning, Optimisation, mixed_batches


@given(
    fresh=st.lists(st.booleans(), min_size=1, max_size=60),
    steps=st.integers(1, 5),
    size=st.integers(1, 20),
    share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    seed=st.integers(0, 9),
)
def test_a_batch_is_mixed_as_asked_and_no_row_comes_back_before_its_part_is_used_up(
    fresh: list[bool], steps: int, size: int, share: float, seed: int
) -> None:
    mask = np.array(fresh)
    tuning = FineTuning(steps, share, Optimisation(batch_size=size))
    batches = list(mixed_batches(mask, tuning, np.random.default_rng(seed)))
    assert [len(batch) for batch in batches] == [size] * steps
    drawn = np.concatenate(batches)
    if mask.any() and not mask.all():
        assert all(int(mask[batch].sum()) == round(size * share) for batch in batches)
    for part in (mask, ~mask):
        counts = np.bincount(drawn[part[drawn]], minlength=len(mask))[part]
        if len(counts):
            assert counts.max() - counts.min() <= 1
