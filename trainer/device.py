"""Where tensors live, and how many threads compute on them."""

import torch

from importance.errors import InvalidInput

Device = torch.device


def choose(name: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` takes a GPU where there is one.

    >>> choose("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise InvalidInput(f"device {name!r} cannot be used: {reason}; set WEIR_DEVICE to auto or cpu") from error
    return device


def device_of(first: torch.device, number: int) -> torch.device:
    """Return the device of the ``number``-th further process: the same CPU, or the next GPU.

    Raises InvalidInput where there is no such GPU.
    """
    if first.type != "cuda":
        return first
    index, there = (first.index or 0) + number, torch.cuda.device_count()
    if index >= there:
        raise InvalidInput(
            f"process {number + 1} of a fine-tune needs GPU {index}, the last one is {there - 1}: "
            "lower WEIR_TRAIN_PROCESSES"
        )
    return torch.device("cuda", index)


def use_threads(count: int = 1) -> None:
    """Let torch compute with that many threads in this process. One is best for a small model."""
    if count < 1:
        raise InvalidInput(f"threads is {count}; it must be at least 1")
    torch.set_num_threads(count)
