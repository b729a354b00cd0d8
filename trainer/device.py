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


def use_threads(count: int = 1) -> None:
    """Let torch compute with that many threads in this process. One is best for a small model."""
    if count < 1:
        raise InvalidInput(f"threads is {count}; it must be at least 1")
    torch.set_num_threads(count)
