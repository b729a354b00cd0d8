"""Versions on disk."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from importance.errors import BadArtifact
from importance.estimators import State
from importance.sample import Sample
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.forward import run
from trainer.memory import weights_of

from .conftest import ARCHITECTURES, hugging_face_directory

FILES = {"config.json", "model.safetensors", "tokenizer.json", "weir.json", "known_items.json"}


def test_a_version_written_and_read_again_predicts_the_same(first: Path, samples: list[Sample], tmp_path: Path) -> None:
    model = versions.load(first, with_moments=True)
    again = versions.load(versions.save(model, tmp_path / "copy"), with_moments=True)
    encoded = model.tokens.encode(samples)
    np.testing.assert_array_equal(run(model, encoded).prediction, run(again, again.tokens.encode(samples)).prediction)
    assert again.card == model.card
    assert again.known_items == {sample.item for sample in samples}
    assert model.moments is not None
    assert again.moments is not None
    assert model.moments.keys() == again.moments.keys()
    assert all(torch.equal(model.moments[name], again.moments[name]) for name in model.moments)


def test_a_version_is_safetensors_and_json_only(first: Path) -> None:
    optional = {"optimizer.safetensors", "state.safetensors"}
    assert {file.name for file in first.iterdir()} == FILES | optional


def test_moments_and_auxiliary_weights_are_read_only_when_asked_for(first: Path, tmp_path: Path) -> None:
    assert versions.load(first).moments is None
    model = versions.load(first)
    auxiliary = {"average": weights_of(model), "earlier": weights_of(model)}
    directory = versions.save(replace(model, **auxiliary), tmp_path / "v")
    assert versions.load(directory).average is versions.load(directory).earlier is None
    again = versions.load(directory, with_auxiliary=True)
    for name, weights in auxiliary.items():
        assert all(torch.equal(weight, getattr(again, name)[key]) for key, weight in weights.items())


def test_what_estimators_remember_survives_a_round_trip(first: Path, tmp_path: Path) -> None:
    model = versions.load(first, with_auxiliary=True)
    again = versions.load(versions.save(model, tmp_path / "copy"), with_auxiliary=True)
    for name, part in model.state.parts().items():
        assert torch.equal(part, again.state.parts()[name])
    assert model.measured.keys() == again.measured.keys()
    for name, scores in model.measured.items():
        np.testing.assert_array_equal(scores, again.measured[name])


def test_a_memory_of_other_weights_is_a_bad_artifact(first: Path, second: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "bad")
    shutil.copy(second / "state.safetensors", tmp_path / "bad")
    with pytest.raises(BadArtifact, match="does not belong to this version's weights"):
        versions.load(tmp_path / "bad")


def test_a_version_saved_over_another_leaves_nothing_of_it(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "used")
    shutil.copy(first / "model.safetensors", tmp_path / "used" / "average.safetensors")
    bare = replace(versions.load(first), state=State(), measured={})
    again = versions.load(versions.save(bare, tmp_path / "used"), with_moments=True, with_auxiliary=True)
    assert (again.moments, again.average, again.measured, again.state.parts()) == (None, None, {}, {})


def test_auxiliary_weights_of_another_network_are_a_bad_artifact(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "bad")
    save_file({"final.bias": torch.zeros(1)}, tmp_path / "bad" / "average.safetensors")
    with pytest.raises(BadArtifact, match="not hold weights of this version"):
        versions.load(tmp_path / "bad", with_auxiliary=True)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_of_transformers_survives_a_round_trip(
    architecture: str, samples: list[Sample], tmp_path: Path
) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES[architecture](1))
    version = versions.load(from_pretrained(str(source), tmp_path / "version"))
    again = versions.load(versions.save(version, tmp_path / "again"))
    encoded = version.tokens.encode(samples[:30])
    np.testing.assert_array_equal(run(version, encoded).prediction, run(again, encoded).prediction)


def cut_short(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def make_empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_bits(file: Path) -> None:
    file.write_bytes(bytes(byte ^ 0x5A for byte in file.read_bytes()))


@pytest.mark.parametrize("damage", [Path.unlink, cut_short, make_empty, flip_bits], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", sorted({*FILES, "state.safetensors"}))
def test_a_missing_or_damaged_file_is_a_bad_artifact(
    name: str, damage: Callable[[Path], None], first: Path, tmp_path: Path
) -> None:
    shutil.copytree(first, tmp_path / "bad")
    damage(tmp_path / "bad" / name)
    if not (tmp_path / "bad" / "state.safetensors").exists():
        assert versions.load(tmp_path / "bad").measured == {}  # a version taken over remembers nothing
        return
    with pytest.raises(BadArtifact):
        versions.load(tmp_path / "bad")


def test_a_damaged_optimizer_is_a_bad_artifact_for_the_trainer_only(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "bad")
    cut_short(tmp_path / "bad" / "optimizer.safetensors")
    versions.load(tmp_path / "bad")
    with pytest.raises(BadArtifact, match="optimizer"):
        versions.load(tmp_path / "bad", with_moments=True)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("weir.json", "kind", "pickle"),
        ("weir.json", "format", 2),
        ("weir.json", "more", 1),
        ("config.json", "width", "64"),
        ("config.json", "width", 65),
        ("config.json", "layers", 3),
        ("config.json", "vocabulary", 7),
    ],
)
def test_a_card_or_shape_that_does_not_fit_is_a_bad_artifact(
    name: str, key: str, value: object, first: Path, tmp_path: Path
) -> None:
    shutil.copytree(first, tmp_path / "bad")
    content = json.loads((tmp_path / "bad" / name).read_text())
    (tmp_path / "bad" / name).write_text(json.dumps(content | {key: value}))
    with pytest.raises(BadArtifact):
        versions.load(tmp_path / "bad")


@pytest.mark.parametrize("kind", ["interaction", "pair"])
def test_a_missing_weight_is_a_bad_artifact_and_never_drawn_again(kind: str, first: Path, tmp_path: Path) -> None:
    directory = tmp_path / "bad"
    if kind == "interaction":
        shutil.copytree(first, directory)
    else:
        source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["bert"](2))
        from_pretrained(str(source), directory)
    weights = load_file(directory / "model.safetensors")
    weights.pop("final.weight" if kind == "interaction" else "classifier.weight")
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadArtifact):
        versions.load(directory)


def test_a_file_that_cannot_be_written_is_an_error_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*gone"):
        versions.save_tensors({"a": torch.zeros(2)}, tmp_path / "gone" / "a.safetensors")


@pytest.mark.parametrize("architecture", [None, "bert"])
def test_weights_that_cannot_be_written_are_an_error_of_files(
    first: Path, tmp_path: Path, architecture: str | None
) -> None:
    source = first
    if architecture is not None:
        foreign = hugging_face_directory(tmp_path / "foreign", ARCHITECTURES[architecture](1))
        source = from_pretrained(str(foreign), tmp_path / "version")
    directory = tmp_path / "no-room"
    (directory / "model.safetensors").mkdir(parents=True)  # a full disk of its own would need a mount
    with pytest.raises(IsADirectoryError):
        versions.save(versions.load(source), directory)
