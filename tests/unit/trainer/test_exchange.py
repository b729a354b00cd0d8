"""A version that is exported is loaded by transformers alone, predicts the same, and can be taken over again."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from importance.errors import InvalidInput
from importance.sample import Sample
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.exchange.card import CardFacts, model_card
from trainer.exchange.export import export
from trainer.tokens import item_text

from .conftest import ARCHITECTURES, hugging_face_directory

ALONE = """
import json, sys
sys.modules["trainer"] = sys.modules["importance"] = None  # Weir is not installed where this runs
from transformers import AutoModelForSequenceClassification, AutoTokenizer
directory, remote, texts, queries = json.loads(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=remote)
model = AutoModelForSequenceClassification.from_pretrained(directory, trust_remote_code=remote).eval()
inputs = tokenizer(texts, queries, truncation=True, padding=True, return_tensors="pt")
print(json.dumps(model(**inputs).logits.double().tolist()))
"""


def logits_alone(directory: Path, samples: list[Sample], remote: bool, home: Path) -> np.ndarray:
    """Load a directory by transformers in a process of its own, in a directory where Weir cannot be imported."""
    given = json.dumps(
        [str(directory), remote, [item_text(sample) for sample in samples], [sample.query for sample in samples]]
    )
    environment = {"HF_HOME": str(home / "hub"), "HF_HUB_OFFLINE": "1", "PATH": "", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, given], capture_output=True, text=True, check=False, cwd=home, env=environment
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("kind", ["interaction", "bert", "distilbert", "roberta"])
def test_transformers_loads_it_alone_and_computes_the_same_logits(
    kind: str, first: Path, samples: list[Sample], tmp_path: Path
) -> None:
    own = first
    if kind != "interaction":
        source = hugging_face_directory(tmp_path / "source", ARCHITECTURES[kind](1))
        own = from_pretrained(str(source), tmp_path / "version")
    model = versions.load(own)
    exported = export(model, tmp_path / "exported", "# card")
    shown = [*samples[:20], Sample("no-query", "s", "ad", "", "i", "red lamp", 0, 0, 0)]
    with torch.no_grad():
        expected = model.network(model.tokens.encode(shown).batch(np.arange(len(shown)))).logits.double().numpy()
    found = logits_alone(exported, shown, kind == "interaction", tmp_path)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["interaction", *ARCHITECTURES])
def test_an_outline_is_that_of_the_loaded_version_and_draws_nothing(kind: str, first: Path, tmp_path: Path) -> None:
    own = first
    if kind != "interaction":
        own = from_pretrained(
            str(hugging_face_directory(tmp_path / "source", ARCHITECTURES[kind](1))), tmp_path / "version"
        )
    model = versions.load(own)
    before = torch.get_rng_state()
    assert versions.outline(own) == (model.card, sum(each.numel() for each in model.network.parameters()))
    assert torch.get_rng_state().equal(before)


def test_weir_takes_an_export_over_with_the_same_weights(first: Path, samples: list[Sample], tmp_path: Path) -> None:
    exported = export(versions.load(first), tmp_path / "exported", "# card")
    again = versions.load(from_pretrained(str(exported), tmp_path / "again"))
    assert again.tokens.definition == versions.load(first).tokens.definition
    for name, weight in versions.load(first).network.state_dict().items():
        assert again.network.state_dict()[name].equal(weight)


def test_what_only_a_trainer_needs_is_left_out(first: Path, tmp_path: Path) -> None:
    exported = export(versions.load(first, with_moments=True, with_auxiliary=True), tmp_path / "exported", "# card")
    names = {file.name for file in exported.iterdir()}
    assert names >= {"README.md", "config.json", "model.safetensors", "modeling_weir.py", "tokenizer.json", "weir.json"}
    assert not names & {"optimizer.safetensors", "average.safetensors", "earlier.safetensors"}


def test_who_may_read_its_card_may_read_its_weights(first: Path, tmp_path: Path) -> None:
    directory = export(versions.load(first), tmp_path / "out", "")
    assert len({file.stat().st_mode for file in directory.iterdir()}) == 1


def test_nothing_is_overwritten(first: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="exists already and is not an empty directory: name a new one"):
        export(versions.load(first), tmp_path / "own", "# card")
    assert [file.name for file in (tmp_path / "own").iterdir()] == ["notes.txt"]


def test_a_card_tells_how_to_load_the_version_and_how_it_was_judged() -> None:
    facts = CardFacts(
        "v3", "interaction", 263_000, 32, datetime(2026, 1, 2, tzinfo=UTC), "active", ["v2", "v1"],
        {"auc": 0.8125, "gate": "above -0.01", "checks": [{"name": "slice"}]}, ["promoted by trainer: above -0.01"],
        "abc",
    )  # fmt: skip
    card = model_card(facts)
    assert card.startswith("---\nlibrary_name: transformers\n")
    for line in ("# Version v3", "| auc | 0.8125 |", "- Descends from: v2, v1.", "- promoted by trainer: above -0.01"):
        assert line in card.splitlines()
    assert "trust_remote_code=True" in card
    assert "checks" not in card
