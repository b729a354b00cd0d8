"""The methods by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from importance.errors import InvalidInput
from trainer.tuning.methods.adalora import AdaLoRA
from trainer.tuning.methods.adapters import Adapters
from trainer.tuning.methods.base import Method
from trainer.tuning.methods.full import Full
from trainer.tuning.methods.head_only import HeadOnly
from trainer.tuning.methods.lora import LoRA

METHODS: Mapping[str, Callable[[int], Method]] = MappingProxyType(
    {
        Full.name: lambda _: Full(),
        HeadOnly.name: lambda _: HeadOnly(),
        LoRA.name: LoRA,
        AdaLoRA.name: AdaLoRA,
        Adapters.name: Adapters,
    }
)
"""Each made from a rank, which those that train the network's own weights do not have."""


def method(name: str, rank: int = 8) -> Method:
    """Return the method of that name.

    >>> method("lora", rank=4)
    LoRA(rank=4)
    """
    if name not in METHODS:
        raise InvalidInput(f"fine-tuning method is {name!r}; it must be one of {', '.join(METHODS)}")
    return METHODS[name](rank)
