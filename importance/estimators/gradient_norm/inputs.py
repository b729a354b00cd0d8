"""What a layer read in the forward pass, kept until the gradient of its output is known: whole, or as AAᵀ only."""

from weakref import ref

import torch
from torch import Tensor

from importance.errors import InvalidInput
from importance.estimators.gradient_norm import squares


class Inputs:
    """Activations [n, T, i] or ids [n, T]. Layers that read the same tensor share one."""

    def __init__(self, tensor: Tensor) -> None:
        self._of = ref(tensor)
        self._version = tensor._version
        self._tensor: Tensor | None = None
        self._gram: Tensor | None = None
        self.samples = tensor.shape[0] if tensor.ndim else 0
        self._shape = (self.samples, tensor.shape[1:-1].numel(), tensor.shape[-1]) if self.samples else (0, 0, 0)

    def is_of(self, tensor: Tensor) -> bool:
        """Return whether this is what the tensor holds now, too."""
        return self._of() is tensor and tensor._version == self._version

    def keep(self, tensor: Tensor) -> None:
        """Hold the tensor itself."""
        self._tensor = tensor

    def keep_gram(self, tensor: Tensor) -> None:
        """Hold AAᵀ in float32 or better, computed while A is still in the cache; A can go."""
        if self._gram is None:
            with torch.no_grad(), torch.autocast(tensor.device.type, enabled=False):
                self._gram = squares.gram(positions(tensor))

    def suits_gram(self, height: int) -> bool:
        """Return whether AAᵀ is the faster form for ``height`` outputs, and needs no more memory than A."""
        _, length, width = self._shape
        return length <= width and squares.prefers_gram(length, width, height)

    @property
    def gram(self) -> Tensor | None:
        """Return AAᵀ [n, T, T], where it was kept."""
        return self._gram

    @property
    def ids(self) -> Tensor:
        """Return [n, T], integers."""
        tensor = self._held()
        return tensor.flatten(1) if tensor.ndim > 1 else tensor.unsqueeze(1)

    @property
    def rows(self) -> Tensor:
        """Return [n, T, i] in float32 or better; T = 1 where there are no positions."""
        return positions(self._held())

    def _held(self) -> Tensor:
        assert self._tensor is not None
        if self._tensor._version != self._version:
            raise InvalidInput("an input was changed in place after a layer had read it: gradient_norm cannot follow")
        return self._tensor


def positions(tensor: Tensor) -> Tensor:
    """Return [n, …, i] as [n, T, i], in float32 or better."""
    if tensor.ndim != 3:
        tensor = tensor.reshape(tensor.shape[0], -1, tensor.shape[-1])
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
