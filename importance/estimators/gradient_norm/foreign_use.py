"""Find parameters that are used outside their layer: in a function, not in the forward pass of the layer.

Hooks on layers do not see such a use, so the norm would lack it. Independent of gradients.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class ForeignUse(TorchFunctionMode):
    """While entered, ``found`` collects the names of ``parameters`` that a torch function converts to a tensor.

    What happens between `enter_layer` and `leave_layer` is the layer's own affair.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._names = {id(parameter): name for name, parameter in parameters.items()}
        self._depth = 0

    def enter_layer(self, *_: object) -> None:
        """Run as a forward pre-hook."""
        self._depth += 1

    def leave_layer(self, *_: object) -> None:
        """Run as a forward hook."""
        self._depth -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._depth == 0 and any(True for _ in _tensors([result])):  # weight.dtype and the like are not a use
            used = _tensors([*args, *(kwargs or {}).values()])
            self.found.update(self._names[id(tensor)] for tensor in used if id(tensor) in self._names)
        return result


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
