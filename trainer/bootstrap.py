"""The first version: the built-in model trained on history, or any model directory of transformers taken over.

Independent of the registry; writes a directory.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from importance.errors import BadArtifact, InvalidInput, WeirError
from importance.sample import Sample
from trainer import minilm
from trainer import version_directory as versions
from trainer.labelled import Labelled
from trainer.memory import update_state
from trainer.model import InteractionModel, PairClassifier, Shape
from trainer.tasks import with_tasks
from trainer.tokens import MAX_TOKENS, Tokens, item_text
from trainer.tuning import Optimisation, Progress, TrainingBatches, train
from trainer.validation import validate
from trainer.version_directory import INTERACTION, PAIR, Card, Model

_ADAPTER: Final = "adapter_config.json"
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, slots=True)
class FirstTraining:
    """How the first version is trained on history; about a minute of one core for 27,000 samples."""

    epochs: int = 2
    vocabulary: int = 2_000
    max_tokens: int = MAX_TOKENS
    optimisation: Optimisation = field(default_factory=Optimisation)


def train_first(
    history: Labelled,
    into: Path,
    uniform: Labelled | None = None,
    training: FirstTraining = FirstTraining(),
    seed: int = 0,
    base: Path | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train on history, which must not hold the holdout's subjects, and write the version to ``into``.

    ``uniform``: the part of it that belongs to the stratum uniform, by which this version's estimators are measured.
    Without ``base`` the built-in model starts from scratch, with a tokenizer of the history's items; else the version
    in ``base`` (see `from_pretrained`) is trained further, without logits of further tasks. The classes are taken as
    they come: no reweighting.
    """
    samples, labels = history.samples, history.labels
    if len(set(labels.tolist())) < 2:
        raise InvalidInput(f"the history has {len(samples)} samples of fewer than two classes; a model needs both")
    model = with_tasks(versions.load(base, device), ()) if base else build(samples, training, seed, device)
    rng = np.random.default_rng(seed)
    size = training.optimisation.batch_size
    order = np.concatenate([rng.permutation(len(samples)) for _ in range(training.epochs)])
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    prepared = TrainingBatches(model.tokens.encode(samples), labels, np.ones(len(samples)), batches)
    tuned = train(model, prepared, training.optimisation, seed, progress)
    known = frozenset(sample.item for sample in samples)
    first = update_state(tuned, None, uniform or Labelled((), np.empty(0, np.int64)))
    return versions.save(replace(first, known_items=known), into)


def build(samples: Sequence[Sample], training: FirstTraining, seed: int, device: torch.device | None = None) -> Model:
    """Return the built-in model, untrained, with a tokenizer of these samples' items."""
    tokenizer = train_tokenizer((item_text(sample) for sample in samples), training.vocabulary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = InteractionModel(Shape(tokenizer.get_vocab_size(), max_tokens=training.max_tokens))
    network.eval()
    card = Card(INTERACTION, training.max_tokens, pad_id=0, seed=seed)
    return Model(network.to(device or "cpu"), Tokens(tokenizer, 0, training.max_tokens), card)


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Return a WordPiece tokenizer of these texts, each counted once.

    Ties between equally frequent pieces are broken differently in every process: keep it with the model.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a word, no password
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=list(_SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(sorted(set(texts)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(word, _SPECIAL.index(word)) for word in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def from_pretrained(
    name_or_directory: str, into: Path, seed: int = 0, max_tokens: int = MAX_TOKENS, gradient_fallback: bool = False
) -> Path:
    """Take over a model of transformers, from a directory or by its name on the Hub, as a version in ``into``.

    ``minilm`` is the one of the extra of that name. A directory is read without any network; a name may be downloaded.
    A directory may also be an adapter of peft (LoRA, for one), which is merged into the base model that it names. Only
    safetensors are read and no code of the model is run. A model without a classifier gets a new one of one logit,
    drawn from ``seed``. With ``gradient_fallback`` its gradient norms may be computed sample by sample.
    """
    source = minilm.directory() if name_or_directory == minilm.NAME else Path(name_or_directory).expanduser()
    local = source.is_dir()
    if not local and (source.is_absolute() or name_or_directory.startswith(".")):
        raise InvalidInput(f"there is no directory {name_or_directory}: name one, or a model of the Hub")
    if local and versions.is_version(source):
        version = versions.load(source, with_moments=True, with_auxiliary=True)
        allowed = version.card.gradient_fallback or gradient_fallback
        card = msgspec.structs.replace(version.card, gradient_fallback=allowed)
        return versions.save(replace(version, card=card), into)
    if local:
        _refuse_pickled(source)
    options = {"local_files_only": local, "trust_remote_code": False}
    adapter = source if (source / _ADAPTER).is_file() else None
    origin = _base_of(source) if adapter else str(source) if local else name_or_directory
    worded = source if adapter and (source / "tokenizer.json").is_file() else origin
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # or it reports at length that a classifier is new
    try:
        config = transformers.AutoConfig.from_pretrained(origin, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(worded, **options)
        if not any("ForSequenceClassification" in name for name in config.architectures or ()):
            config.num_labels = 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = transformers.AutoModelForSequenceClassification.from_pretrained(
                origin, config=config, use_safetensors=True, **options
            )
        if adapter:
            network = _merged(network, adapter)
        backend = tokenizer.backend_tokenizer
    except WeirError:
        raise
    except Exception as error:  # transformers raises errors of a dozen kinds for what it cannot find or read
        reason = " ".join(str(error).split())[:200]
        kind = BadArtifact if local else InvalidInput
        raise kind(
            f"model {name_or_directory!r} cannot be loaded: {reason}; set WEIR_MODEL to a directory or name"
        ) from error
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # where a directory has none, one is made up
        raise BadArtifact(f"model {name_or_directory!r} has no tokenizer that knows a word: add its tokenizer.json")
    network.eval()
    reads_types = "token_type_ids" in tokenizer.model_input_names
    if network.config.pad_token_id is None:  # without one, networks that classify by the last token cannot find it
        network.config.pad_token_id = _first_known(tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    pad_id = _first_known(tokenizer.pad_token_id, network.config.pad_token_id)
    card = Card(PAIR, max_tokens, pad_id, seed, reads_types, gradient_fallback)
    model = Model(PairClassifier(network, reads_types), Tokens(backend, card.pad_id, max_tokens), card)
    validate(model, f"model {name_or_directory!r}")
    return versions.save(model, into)


def _base_of(adapter: Path) -> str:
    """Return the directory or name of the model that an adapter of peft belongs to."""
    try:
        base = json.loads((adapter / _ADAPTER).read_bytes())["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadArtifact(f"{adapter / _ADAPTER} names no base_model_name_or_path: add the base model to it") from error
    return str(base)


def _merged(network: Any, adapter: Path) -> Any:
    """Return the network with an adapter of peft added to its weights."""
    from peft import PeftModel

    return PeftModel.from_pretrained(network, str(adapter)).merge_and_unload()


def _refuse_pickled(directory: Path) -> None:
    """Raise BadArtifact for a directory whose only weights are pickled: reading them may run any code."""
    pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in directory.glob(pattern))
    if pickled and not any(directory.glob("*.safetensors")):
        raise BadArtifact(
            f"model {str(directory)!r} has pickled weights only ({pickled[0]}), and reading them may run code: where "
            "you trust it, load it by transformers and save it again by save_pretrained, which writes safetensors"
        )


def _first_known(*ids: int | None) -> int:
    return next(each for each in ids if each is not None)
