"""A fine-tune between two steps, on disk: ``state.safetensors`` the tensors, ``state.json`` the numbers. No pickle.

The file of tensors comes first; that of numbers names its sha256, and appears at once and complete.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, get_origin

import msgspec
from safetensors.torch import load_file
from torch import Tensor

from importance.checksums import sha256_of
from importance.errors import BadArtifact
from trainer.tuning.loop import LoopState
from trainer.version_directory import checked, save_tensors

_TENSORS, _NUMBERS = "state.safetensors", "state.json"
_PARTS: Final = {field.name: field.type for field in fields(LoopState)}


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoints:
    """When a fine-tune keeps its state, and where it continues: at ``resumed``, or at the start.

    ``keep`` is called after every ``every_steps`` steps, the last one included; never where that is 0. What it raises
    ends the fine-tune.
    """

    every_steps: int
    keep: Callable[[LoopState], None]
    resumed: LoopState | None = None

    def after(self, steps: int) -> bool:
        """Return whether the state after so many steps is kept.

        >>> [steps for steps in range(1, 10) if Checkpoints(4, lambda _: None).after(steps)]
        [4, 8]
        """
        return self.every_steps > 0 and steps % self.every_steps == 0


class _Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    numbers: dict[str, int | float]
    sha256: str


def save(state: LoopState, directory: Path) -> Path:
    """Write a state into ``directory``, which is created."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, int | float] = {}
    for name in _PARTS:
        value = getattr(state, name)
        if isinstance(value, Tensor):
            tensors[name] = value
        elif isinstance(value, dict):
            tensors |= {f"{name}/{key}": tensor for key, tensor in value.items()}
        else:
            numbers[name] = value
    save_tensors(tensors, directory / _TENSORS)
    partial = directory / f".{_NUMBERS}"
    partial.write_bytes(msgspec.json.encode(_Numbers(numbers, sha256_of(directory / _TENSORS))))
    partial.rename(directory / _NUMBERS)
    return directory


def load(directory: Path) -> LoopState:
    """Read a state, its tensors on the CPU; `BadArtifact` when anything in it is missing or damaged."""
    found = checked(directory / _NUMBERS, lambda file: msgspec.json.decode(file.read_bytes(), type=_Numbers))
    if checked(directory / _TENSORS, sha256_of) != found.sha256:
        raise BadArtifact(f"{directory / _TENSORS} does not have the sha256 of {_NUMBERS}")
    tensors = checked(directory / _TENSORS, load_file)
    return checked(directory, lambda _: LoopState(**{name: _part(name, tensors, found.numbers) for name in _PARTS}))


def _part(name: str, tensors: dict[str, Tensor], numbers: dict[str, int | float]) -> Any:
    kind = _PARTS[name]
    if kind is Tensor:
        return tensors[name]
    if get_origin(kind) is dict:
        return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
    return msgspec.convert(numbers[name], kind)
