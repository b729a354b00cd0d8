"""A small shop, models of it that train in a second, and random networks of transformers made on the spot."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from importance.sample import Action, Sample
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, build, train_first
from trainer.device import use_threads
from trainer.labelled import Labelled
from trainer.version_directory import Model

COLOURS = ("red", "blue", "green", "white")
THINGS = ("lantern", "mug", "cushion", "ribbon", "clock")


def shop_sample(number: int, rng: Random) -> Sample:
    """Customers of this shop want the colour of what they have; the outcome is noisy."""
    colour, thing, wanted = rng.choice(COLOURS), rng.choice(THINGS), rng.choice(COLOURS)
    bought = rng.random() < (0.9 if colour == wanted else 0.1)
    return Sample(
        id=f"i{number}",
        subject=f"s{number // 3}",
        surface="recommendation",
        query=f"{wanted} {rng.choice(THINGS)}" if rng.random() < 0.9 else "",
        item=f"{colour}-{thing}",
        text=f"{colour} {thing}",
        time_ms=1_000 * number,
        partition=0,
        offset=number,
        actions=int(Action.PURCHASE) if bought else 0,
        attributes={"price": rng.choice([0.5, 3.0, 20.0]), "popularity": 3.0},
    )


def shop(count: int, seed: int = 0) -> list[Sample]:
    rng = Random(seed)
    return [shop_sample(number, rng) for number in range(count)]


def labels_of(samples: list[Sample]) -> np.ndarray:
    return np.array([int(sample.actions > 0) for sample in samples], np.int64)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    use_threads(1)


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    return shop(600)


@pytest.fixture(scope="session")
def labels(samples: list[Sample]) -> np.ndarray:
    return labels_of(samples)


@pytest.fixture
def untrained(samples: list[Sample]) -> Model:
    """The built-in network as it is drawn, of this shop's words."""
    return build(samples, FirstTraining(vocabulary=120), seed=0)


@pytest.fixture(scope="session")
def first(samples: list[Sample], labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version trained on 600 samples, to be read only."""
    training = FirstTraining(epochs=3, vocabulary=120)
    history = Labelled(samples, labels)
    return train_first(history, tmp_path_factory.mktemp("first") / "1", history, training, seed=0)


@pytest.fixture(scope="session")
def second(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another version, with the first one's tokenizer and other weights."""
    model = versions.load(first)
    model.network.final.weight.data.mul_(1.5)
    return versions.save(model, tmp_path_factory.mktemp("second") / "2")


SIZE = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
ARCHITECTURES = {
    "bert": lambda labels: transformers.BertConfig(**SIZE, num_labels=labels),
    "distilbert": lambda labels: transformers.DistilBertConfig(
        vocab_size=60, dim=16, n_layers=1, n_heads=2, hidden_dim=24, num_labels=labels
    ),
    "roberta": lambda labels: transformers.RobertaConfig(
        **SIZE, max_position_embeddings=64, pad_token_id=0, num_labels=labels
    ),
    "electra": lambda labels: transformers.ElectraConfig(**SIZE, embedding_size=8, num_labels=labels),
    "albert": lambda labels: transformers.AlbertConfig(**SIZE, embedding_size=8, num_labels=labels),
}


def deberta() -> transformers.DebertaV2Config:
    """One whose layers read rows that the batch shares, so that not every estimator covers it."""
    positions = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
    return transformers.DebertaV2Config(**SIZE, **positions, position_buckets=4, num_labels=1)


def hugging_face_directory(into: Path, config: transformers.PretrainedConfig, classifier: bool = True) -> Path:
    """A random network, the same at each call, with a word tokenizer, in the layout of transformers."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *COLOURS, *THINGS, *(f"price{band}" for band in range(20))]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    auto = transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModel
    auto.from_config(config).save_pretrained(into)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(into)
    return into
