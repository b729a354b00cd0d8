"""A model version on disk: a directory of safetensors and JSON, read and written here and nowhere else.

::

    config.json            the network's shape
    model.safetensors      its weights
    tokenizer.json         its tokenizer: part of the version, since two trainings of one differ
    weir.json              the card: kind of network, input length, seed
    known_items.json       the items of the data that the first version was trained on
    optimizer.safetensors  Adam's moments, which the next fine-tune continues with (optional)
    average.safetensors    the moving average of the versions' weights (optional)
    earlier.safetensors    the weights of the version before (optional)
    state.safetensors      the estimators' state, and the scores measured at evaluation (optional); it
                           names the weights it belongs to by their sha256

Nothing in it can run code: no pickle, no remote code. What does not load is `BadArtifact`.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from importance.checksums import sha256_of
from importance.errors import BadArtifact, WeirError
from importance.estimators.gradient_norm import GradientNorm
from importance.estimators.projection import Projection
from importance.estimators.state import State
from trainer.model import InteractionModel, Network, PairClassifier, Shape
from trainer.tokens import Tokens

INTERACTION: Final = "interaction"
PAIR: Final = "pair"
WEIGHTS: Final = "model.safetensors"
_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"
_CARD, _KNOWN, _OPTIMIZER = "weir.json", "known_items.json", "optimizer.safetensors"
_AVERAGE, _EARLIER, _STATE = "average.safetensors", "earlier.safetensors", "state.safetensors"
_MEASURED = "measured."
_ERROR_NUMBER = re.compile(r"\(os error (\d+)\)")

Weights = dict[str, Tensor]
"""A network's parameters by name."""

T = TypeVar("T")


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be known before the other files can be read.

    ``gradient_fallback``: whether gradient norms may be computed sample by sample where nothing faster covers them.
    ``tasks``: the names of the labels, each of which has a logit, the scored one first; empty where it is the only one.
    """

    kind: Literal["interaction", "pair"]
    max_tokens: int
    pad_id: int
    seed: int
    reads_types: bool = True
    gradient_fallback: bool = False
    tasks: tuple[str, ...] = ()
    format: Literal[1] = 1
    input: Literal["item text, price band | query"] = "item text, price band | query"


@dataclass(frozen=True, eq=False)
class Model:
    """A version in memory.

    ``moments`` are Adam's, by name, None unless requested and stored. So are the auxiliary weights: ``average``, the
    moving average of the weights, and ``earlier``, those of the previous version. ``state`` is the estimators' state.
    ``measured`` are the scores [n] by estimator of the same n samples of the stream, kept without regard to importance,
    NaN where a costly one was not computed. ``directory`` has it, if any does.
    """

    network: Network
    tokens: Tokens
    card: Card
    known_items: frozenset[str] = frozenset()
    moments: Weights | None = None
    average: Weights | None = None
    earlier: Weights | None = None
    state: State = field(default_factory=State)
    measured: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    directory: Path | None = None

    @property
    def device(self) -> torch.device:
        """Return the device of its weights."""
        return self.network.final.weight.device

    @cached_property
    def gradients(self) -> GradientNorm:
        """Return what follows a pass to the exact gradient norms; `InvalidInput` names the layers not covered."""
        return GradientNorm(self.network, fallback=self.card.gradient_fallback)

    @cached_property
    def projection(self) -> Projection:
        """Return what follows a pass to the projected gradients."""
        return Projection(self.network)


def save(model: Model, directory: Path) -> Path:
    """Write a version into ``directory``, which is created; files of these names in it are replaced or removed."""
    directory.mkdir(parents=True, exist_ok=True)
    if isinstance(model.network, InteractionModel):
        _write_json(directory / _CONFIG, asdict(model.network.shape))
        # The metadata is what transformers asks for.
        save_tensors(model.network.state_dict(), directory / WEIGHTS, {"format": "pt"})
    else:
        with _file_errors(directory):
            model.network.network.save_pretrained(directory)
    model.tokens.save(directory / _TOKENIZER)
    described = msgspec.structs.asdict(model.card)
    if not model.card.tasks:  # so that releases that do not know the field read the card
        del described["tasks"]
    (directory / _CARD).write_bytes(msgspec.json.format(msgspec.json.encode(described)))
    _write_json(directory / _KNOWN, sorted(model.known_items))
    for name, tensors in ((_OPTIMIZER, model.moments), (_AVERAGE, model.average), (_EARLIER, model.earlier)):
        (directory / name).unlink(missing_ok=True)
        if tensors:
            save_tensors(tensors, directory / name)
    (directory / _STATE).unlink(missing_ok=True)
    stored = model.state.parts() | {
        _MEASURED + name: torch.from_numpy(scores).float() for name, scores in model.measured.items()
    }
    if stored:
        save_tensors(stored, directory / _STATE, {"weights": sha256_of(directory / WEIGHTS)})
    return directory


def load(
    directory: Path, device: torch.device | None = None, with_moments: bool = False, with_auxiliary: bool = False
) -> Model:
    """Read a version, in evaluation mode; `BadArtifact` when anything in it is missing, damaged or out of shape."""
    card = _read_card(directory)
    read = _interaction if card.kind == INTERACTION else _pair
    network = checked(directory / WEIGHTS, lambda _: read(directory, card))
    known = checked(directory / _KNOWN, lambda file: msgspec.json.decode(file.read_bytes(), type=frozenset[str]))
    tokens = Tokens.load(directory / _TOKENIZER, card.pad_id, card.max_tokens)
    network.eval()
    if device is not None:
        network.to(device)
    moments = _optional(directory / _OPTIMIZER) if with_moments else None
    average, earlier = (
        _of_network(directory / name, network) if with_auxiliary else None for name in (_AVERAGE, _EARLIER)
    )
    state, measured = _load_state(directory, network.final.weight.device)
    return Model(network, tokens, card, known, moments, average, earlier, state, measured, directory)


def outline(directory: Path) -> tuple[Card, int]:
    """Return a version's card and the number of its network's parameters, without building the network.

    Building one draws from torch's process-wide generator, which a fine-tune on another thread may be using. Only the
    header of the weights is read. Raises `BadArtifact` when it, or the card, is missing or damaged.
    """
    return _read_card(directory), checked(directory / WEIGHTS, _parameters)


def is_version(directory: Path) -> bool:
    """Return whether a directory is a version of ours, and not a model directory of transformers."""
    return (directory / _CARD).is_file()


def save_tensors(tensors: Weights, file: Path, about: dict[str, str] | None = None) -> None:
    """Write tensors of any device; OSError when that fails, with its number, as for any other file."""
    with _file_errors(file):
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file, about)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Raise as an OSError what safetensors made of one: its number is in the text alone."""
    try:
        yield
    except SafetensorError as error:
        found = _ERROR_NUMBER.search(str(error))
        if found is None:
            raise OSError(f"{path} was not written: {error}") from error
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


def checked(file: Path, read: Callable[[Path], T]) -> T:
    """Return what ``read`` makes of a file, or raise `BadArtifact`: the libraries raise errors of many kinds."""
    try:
        return read(file)
    except WeirError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise BadArtifact(f"{file} does not load: {type(error).__name__}: {reason}") from error


def _read_card(directory: Path) -> Card:
    return checked(directory / _CARD, lambda file: msgspec.json.decode(file.read_bytes(), type=Card))


def _parameters(file: Path) -> int:
    """Return the number of floating-point values: buffers of a network, such as ids of tokens, are integers."""
    with safe_open(file, "pt") as opened:
        slices = [opened.get_slice(name) for name in opened.keys()]  # noqa: SIM118
    return sum(math.prod(each.get_shape()) for each in slices if each.get_dtype().startswith(("F", "BF")))


def _interaction(directory: Path, card: Card) -> InteractionModel:
    shape = msgspec.convert(json.loads((directory / _CONFIG).read_text(encoding="utf-8")), Shape)
    network = InteractionModel(shape, max(1, len(card.tasks)))
    network.load_state_dict(load_file(directory / WEIGHTS))
    return network


def _pair(directory: Path, card: Card) -> PairClassifier:
    transformers.utils.logging.disable_progress_bar()  # a worker's log is not a terminal
    network, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        directory, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
    )
    if info["missing_keys"]:
        raise BadArtifact(f"{directory / WEIGHTS} lacks {len(info['missing_keys'])} of the network's weights")
    return PairClassifier(network, card.reads_types, max(1, len(card.tasks)))


def _optional(file: Path) -> Weights | None:
    return checked(file, load_file) if file.exists() else None


def _of_network(file: Path, network: Network) -> Weights | None:
    """Return the auxiliary weights of the same network."""
    weights = _optional(file)
    if weights is None:
        return None
    own = {name: parameter.shape for name, parameter in network.named_parameters()}
    if {name: tensor.shape for name, tensor in weights.items()} != own:
        raise BadArtifact(f"{file} does not hold weights of this version's network")
    return {name: tensor.to(network.final.weight.device) for name, tensor in weights.items()}


def _load_state(directory: Path, device: torch.device) -> tuple[State, dict[str, NDArray[np.float64]]]:
    """Return the estimators' state and the measured scores; both empty where the version has none."""
    file = directory / _STATE
    if not file.exists():
        return State(), {}

    def read(file: Path) -> tuple[Weights, str]:
        with safe_open(file, "pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()["weights"]  # noqa: SIM118

    tensors, belongs_to = checked(file, read)
    if belongs_to != sha256_of(directory / WEIGHTS):
        raise BadArtifact(f"{file} does not belong to this version's weights")
    measured = {
        name.removeprefix(_MEASURED): tensor.double().numpy()
        for name, tensor in tensors.items()
        if name.startswith(_MEASURED)
    }
    parts = {name: tensor.to(device) for name, tensor in tensors.items() if not name.startswith(_MEASURED)}
    return checked(file, lambda _: State(**parts)), measured


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
