"""The first version: trained on history, or taken over."""

from pathlib import Path

import numpy as np
import pytest
import transformers

from importance.errors import BadArtifact, InvalidInput
from importance.sample import Sample
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, from_pretrained, train_first
from trainer.evaluation import evaluate
from trainer.forward import run
from trainer.labelled import Labelled

from .conftest import ARCHITECTURES, SIZE, hugging_face_directory, labels_of, shop


def test_the_first_version_predicts_samples_it_never_saw(first: Path) -> None:
    unseen = shop(400, seed=1)
    model = versions.load(first)
    figures = evaluate(labels_of(unseen), run(model, model.tokens.encode(unseen)).prediction)
    assert figures.auc > 0.75  # the query says what is wanted; an item alone says nothing: 0.5


def test_training_from_one_tokenizer_is_the_same_for_a_seed(
    first: Path, samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    training = FirstTraining(epochs=1)
    made = [
        train_first(Labelled(samples[:100], labels[:100]), tmp_path / name, None, training, seed, base=first)
        for name, seed in (("one", 3), ("two", 3), ("three", 4))
    ]
    weights = [(directory / "model.safetensors").read_bytes() for directory in made]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_a_taken_over_network_trains_on_history_and_knows_its_items(
    samples: list[Sample], labels: np.ndarray, tmp_path: Path
) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["distilbert"](1))
    base = from_pretrained(str(source), tmp_path / "base")
    directory = train_first(Labelled(samples[:64], labels[:64]), tmp_path / "first", base=base)
    model = versions.load(directory, with_moments=True)
    assert model.known_items == {sample.item for sample in samples[:64]}
    assert model.moments


def test_history_of_one_class_is_refused(samples: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="two classes"):
        train_first(Labelled(samples, np.zeros(len(samples), np.int64)), tmp_path / "first")


def test_progress_counts_to_the_end(samples: list[Sample], labels: np.ndarray, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    training = FirstTraining(epochs=1, vocabulary=120)
    train_first(
        Labelled(samples[:130], labels[:130]),
        tmp_path / "first",
        training=training,
        progress=lambda done, of, _: told.append((done, of)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]  # 130 samples in batches of 64


def test_a_network_without_a_classifier_gets_one_of_one_logit_drawn_from_the_seed(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", transformers.BertConfig(**SIZE), classifier=False)
    made = [from_pretrained(str(source), tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    weights = [versions.load(directory).network.final.weight for directory in made]
    assert weights[0].shape == (1, SIZE["hidden_size"])
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])


def test_a_version_of_ours_is_taken_over_as_it_is(first: Path, tmp_path: Path) -> None:
    copy = from_pretrained(str(first), tmp_path / "copy")
    for name in ("model.safetensors", "tokenizer.json", "weir.json", "known_items.json"):
        assert (copy / name).read_bytes() == (first / name).read_bytes()


def test_a_directory_that_is_no_model_is_a_bad_artifact(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(BadArtifact, match="WEIR_MODEL"):
        from_pretrained(str(tmp_path / "source"), tmp_path / "version")


def test_a_path_without_a_directory_is_not_taken_for_a_name_of_the_hub(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no directory"):
        from_pretrained(str(tmp_path / "nowhere"), tmp_path / "version")


def test_a_model_with_pickled_weights_only_is_refused(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["bert"](1))
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(BadArtifact):
        from_pretrained(str(source), tmp_path / "version")


def test_a_directory_without_a_tokenizer_is_refused_and_none_is_made_up(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["bert"](1))
    (source / "tokenizer.json").unlink()
    (source / "tokenizer_config.json").unlink()
    with pytest.raises(BadArtifact, match="has no tokenizer that knows a word"):
        from_pretrained(str(source), tmp_path / "version")


def test_a_network_of_three_classes_is_refused(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["bert"](3))
    with pytest.raises(InvalidInput, match="3 outputs"):
        from_pretrained(str(source), tmp_path / "version")


def test_a_network_with_fewer_positions_than_its_input_may_have_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(**{**SIZE, "max_position_embeddings": 16, "num_labels": 1})
    source = hugging_face_directory(tmp_path / "source", config)
    with pytest.raises(BadArtifact, match="cannot compute an input of 32 tokens"):
        from_pretrained(str(source), tmp_path / "version")


def test_a_tokenizer_with_more_ids_than_the_network_has_rows_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(**{**SIZE, "vocab_size": 8, "num_labels": 1})
    source = hugging_face_directory(tmp_path / "source", config)
    with pytest.raises(BadArtifact, match="cannot compute"):
        from_pretrained(str(source), tmp_path / "version")
