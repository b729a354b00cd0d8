"""The device by its name, and the number of threads."""

import pytest
import torch

from importance.errors import InvalidInput
from trainer.device import choose, use_threads


def test_auto_is_a_gpu_exactly_where_there_is_one() -> None:
    assert choose("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta:x", ""])
def test_a_device_that_cannot_be_used_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InvalidInput, match="set WEIR_DEVICE to auto or cpu") as caught:
        choose(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [0, -1])
def test_no_thread_is_refused(count: int) -> None:
    before = torch.get_num_threads()
    with pytest.raises(InvalidInput, match="it must be at least 1"):
        use_threads(count)
    assert torch.get_num_threads() == before
