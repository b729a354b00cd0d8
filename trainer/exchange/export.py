"""Write a version as a directory that transformers loads without Weir, and Weir takes over again.

The directory is that of a version (`trainer.version_directory`) without what only a trainer needs, with the config and
the tokenizer of transformers, and the network's code where it is the built-in one.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import transformers

from importance.errors import InvalidInput
from trainer import version_directory as versions
from trainer.exchange import standalone
from trainer.model import InteractionModel
from trainer.tasks import named_logits
from trainer.version_directory import Model

CODE: Final = "modeling_weir.py"
CARD: Final = "README.md"
_SPECIAL: Final = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_CONFIG: Final = "config.json"


def export(model: Model, into: Path, card: str) -> Path:
    """Write a version into a new directory; raise InvalidInput where there is something already.

    ``card`` is the text of its model card. Logits are those of the version, to the last digit.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise InvalidInput(f"{into} exists already and is not an empty directory: name a new one")
    slim = replace(model, moments=None, average=None, earlier=None)
    versions.save(slim, into)
    (into / CARD).write_text(card, encoding="utf-8")
    _save_tokenizer(model, into)
    if isinstance(model.network, InteractionModel):
        _save_interaction(model.network, model.card.tasks, into)
    mode = (into / CARD).stat().st_mode  # safetensors lets the owner alone read its files
    for file in into.glob("*.safetensors"):
        file.chmod(mode)
    return into


def _save_interaction(network: InteractionModel, tasks: Sequence[str], into: Path) -> None:
    config = standalone.InteractionConfig(**asdict(network.shape), **named_logits(tasks))
    stem = CODE.removesuffix(".py")
    described = config.to_dict() | {
        "architectures": [standalone.InteractionForSequenceClassification.__name__],
        "auto_map": {
            "AutoConfig": f"{stem}.{standalone.InteractionConfig.__name__}",
            "AutoModelForSequenceClassification": f"{stem}.{standalone.InteractionForSequenceClassification.__name__}",
        },
    }
    (into / _CONFIG).write_text(json.dumps(described, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (into / CODE).write_text(Path(standalone.__file__).read_text(encoding="utf-8"), encoding="utf-8")


def _save_tokenizer(model: Model, into: Path) -> None:
    """Write the tokenizer as transformers reads it, with truncation to the version's length."""
    backend = model.tokens.copy()
    vocabulary = backend.get_vocab()
    known = {role: token for role, token in _SPECIAL.items() if token in vocabulary}
    known.setdefault("pad_token", backend.id_to_token(model.tokens.pad_id) or "")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=model.tokens.max_tokens,
        model_input_names=["input_ids", "attention_mask", *(["token_type_ids"] if model.card.reads_types else [])],
        **known,
    ).save_pretrained(into)
    model.tokens.save(into / "tokenizer.json")  # as the version has it
