"""A flush can be told from its own repetition by `next` alone, or it is refused."""

import numpy as np
import pytest

from importance.errors import InvalidInput
from importance.flush import Flush
from importance.partition_progress import Progress
from importance.quality import CountKey, empty_counts
from importance.sample import Correction


def progress(next_offset: int) -> Progress:
    return Progress(next_offset, 0, 0, 0)


def test_progress_never_goes_back() -> None:
    with pytest.raises(InvalidInput, match="would go back from 7 to 6"):
        Flush(partition=0, epoch=1, old_next=7, progress=progress(6))


def test_nothing_is_decided_where_nothing_moves() -> None:
    with pytest.raises(InvalidInput, match="stays at offset 7"):
        Flush(partition=0, epoch=1, old_next=7, progress=progress(7), samples=1)
    counts = {CountKey(0, "week:2011-01-03", "serving", "v1", "all"): empty_counts() + np.int64(1)}
    with pytest.raises(InvalidInput, match="stays at offset 7"):
        Flush(partition=0, epoch=1, old_next=7, progress=progress(7), quality=counts)


def test_corrections_may_come_while_nothing_moves() -> None:
    flush = Flush(partition=0, epoch=1, old_next=7, progress=progress(7), corrections=[Correction("a", 1)])
    assert flush.samples == 0


def test_an_offset_decides_at_most_one_sample() -> None:
    with pytest.raises(InvalidInput, match="of 3 samples from 2 offsets"):
        Flush(partition=0, epoch=1, old_next=7, progress=progress(9), samples=3)
