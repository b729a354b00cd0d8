"""A model version on disk: a folder of safetensors and JSON, read and written here and nowhere else.

::

    config.json            the network's shape
    model.safetensors      its weights
    tokenizer.json         its tokenizer: part of the version, since two trainings of one differ
    weir.json              the card: kind of network, input length, seed
    known_items.json       the items of the data that the first version was trained on
    optimizer.safetensors  Adam's moments, which the next fine-tune goes on with (optional)

Nothing in it can run code: no pickle, no remote code. What does not load is `BadArtifact`.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from importance.errors import BadArtifact, WeirError
from trainer.model import InteractionModel, Network, PairClassifier, Shape
from trainer.tokens import Tokens

INTERACTION: Final = "interaction"
PAIR: Final = "pair"
_CONFIG, _WEIGHTS, _TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
_CARD, _KNOWN, _OPTIMIZER = "weir.json", "known_items.json", "optimizer.safetensors"

T = TypeVar("T")


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be known before the files beside it can be read."""

    kind: Literal["interaction", "pair"]
    max_tokens: int
    pad_id: int
    seed: int
    reads_types: bool = True
    format: Literal[1] = 1
    input: Literal["item text, price band | query"] = "item text, price band | query"


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """A version in memory. ``moments`` are Adam's, by name, when they were asked for and kept."""

    network: Network
    tokens: Tokens
    card: Card
    known_items: frozenset[str] = frozenset()
    moments: dict[str, Tensor] | None = None

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return self.network.final.weight.device


def save(model: Model, folder: Path) -> Path:
    """Write a version; the folder is made, and files of these names in it are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model.network, InteractionModel):
        _write_json(folder / _CONFIG, asdict(model.network.shape))
        save_file(_on_cpu(model.network.state_dict()), folder / _WEIGHTS)
    else:
        model.network.network.save_pretrained(folder)
    model.tokens.save(folder / _TOKENIZER)
    (folder / _CARD).write_bytes(msgspec.json.format(msgspec.json.encode(model.card)))
    _write_json(folder / _KNOWN, sorted(model.known_items))
    if model.moments:
        save_file(_on_cpu(model.moments), folder / _OPTIMIZER)
    return folder


def load(folder: Path, device: torch.device | None = None, with_moments: bool = False) -> Model:
    """Read a version, in evaluation mode; `BadArtifact` when anything in it is missing, damaged or out of shape."""
    card = _checked(folder / _CARD, lambda file: msgspec.json.decode(file.read_bytes(), type=Card))
    read = _interaction if card.kind == INTERACTION else _pair
    network = _checked(folder / _WEIGHTS, lambda _: read(folder, card))
    known = _checked(folder / _KNOWN, lambda file: msgspec.json.decode(file.read_bytes(), type=frozenset[str]))
    moments = None
    if with_moments and (folder / _OPTIMIZER).exists():
        moments = _checked(folder / _OPTIMIZER, load_file)
    tokens = Tokens.load(folder / _TOKENIZER, card.pad_id, card.max_tokens)
    network.eval()
    return Model(network if device is None else network.to(device), tokens, card, known, moments)


def is_version(folder: Path) -> bool:
    """Whether a folder is a version of ours, and not a plain model folder of transformers."""
    return (folder / _CARD).is_file()


def _interaction(folder: Path, _: Card) -> InteractionModel:
    shape = msgspec.convert(json.loads((folder / _CONFIG).read_text(encoding="utf-8")), Shape)
    network = InteractionModel(shape)
    network.load_state_dict(load_file(folder / _WEIGHTS))
    return network


def _pair(folder: Path, card: Card) -> PairClassifier:
    transformers.utils.logging.disable_progress_bar()  # a worker's log is no terminal
    network, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
    )
    if info["missing_keys"]:
        raise BadArtifact(f"{folder / _WEIGHTS} lacks {len(info['missing_keys'])} of the network's weights")
    return PairClassifier(network, card.reads_types)


def _checked(file: Path, read: Callable[[Path], T]) -> T:
    """What ``read`` makes of a file, or `BadArtifact`: the libraries below raise errors of a dozen kinds."""
    try:
        return read(file)
    except WeirError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise BadArtifact(f"{file} does not load: {type(error).__name__}: {reason}") from error


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
