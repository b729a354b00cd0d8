"""Models of other makers by WEIR_MODEL: what is taken over, and what is refused with a remedy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from peft import LoraConfig, TaskType, get_peft_model

from importance.errors import BadArtifact, InvalidInput
from importance.sample import Sample
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.forward import run
from trainer.tokens import item_text

from .conftest import ARCHITECTURES, SIZE, hugging_face_directory

IDS = {"bos_token_id": 2, "eos_token_id": 3}
CONFIGS = {
    "GPT-2 without a padding token": lambda: transformers.GPT2Config(
        vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=64, num_labels=1, **IDS
    ),
    "ModernBERT": lambda: transformers.ModernBertConfig(
        **SIZE, **IDS, max_position_embeddings=64, pad_token_id=0, cls_token_id=2, sep_token_id=3, num_labels=1
    ),
    "XLM-R": lambda: transformers.XLMRobertaConfig(**SIZE, max_position_embeddings=64, pad_token_id=0, num_labels=1),
}
SHOWN = [
    Sample("a", "ann", "search", "red lamp", "i1", "red lamp", 0, 0, 0),
    Sample("b", "ann", "search", "a much longer query for a blue chair", "i2", "blue chair", 0, 0, 1),
    Sample("c", "bob", "ad", "", "i3", "green cup", 0, 0, 2),
]


def own_logits(directory: Path, samples: list[Sample]) -> np.ndarray:
    """The logits by transformers itself, one sample at a time, so that nothing is padded."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(directory).eval()
    found = []
    for sample in samples:
        inputs = tokenizer([item_text(sample)], [sample.query], truncation=True, max_length=32, return_tensors="pt")
        with torch.no_grad():
            found.append(network(**inputs).logits[0].double().numpy())
    return np.array(found)


def weirs_logits(directory: Path, samples: list[Sample]) -> np.ndarray:
    """Those of the version that was taken over, as one padded batch."""
    model = versions.load(directory)
    with torch.no_grad():
        return model.network(model.tokens.encode(samples).batch(np.arange(len(samples)))).logits.double().numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_taken_over_with_its_own_logits_and_is_scored(name: str, tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", CONFIGS[name]())
    version = from_pretrained(str(source), tmp_path / "version")
    np.testing.assert_allclose(weirs_logits(version, SHOWN), own_logits(source, SHOWN), atol=1e-6)
    model = versions.load(version)
    scored = run(model, model.tokens.encode(SHOWN), np.array([1, 0, 1]))
    assert np.isfinite(scored.prediction).all()
    again = versions.load(versions.save(model, tmp_path / "again"))
    np.testing.assert_array_equal(run(again, again.tokens.encode(SHOWN)).prediction, scored.prediction)


def test_the_hidden_vector_is_the_input_of_the_final_layer_at_the_token_that_decides(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", CONFIGS["GPT-2 without a padding token"]())
    model = versions.load(from_pretrained(str(source), tmp_path / "version"))
    output = model.network(model.tokens.encode(SHOWN).batch(np.arange(3)))
    assert model.network.final(output.hidden).allclose(output.logits, atol=1e-6)


def test_sharded_safetensors_are_read_as_one(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["bert"](1))
    transformers.AutoModelForSequenceClassification.from_pretrained(source).save_pretrained(
        tmp_path / "sharded", max_shard_size="4KB"
    )
    for file in source.glob("*token*"):
        (tmp_path / "sharded" / file.name).write_bytes(file.read_bytes())
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    version = from_pretrained(str(tmp_path / "sharded"), tmp_path / "version")
    np.testing.assert_allclose(weirs_logits(version, SHOWN), own_logits(source, SHOWN), atol=1e-6)


def test_pickled_weights_are_refused_with_the_remedy(tmp_path: Path) -> None:
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["bert"](1))
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(BadArtifact, match=r"pickled weights only \(pytorch_model.bin\).*save it again by save_p"):
        from_pretrained(str(source), tmp_path / "version")


def adapter(base: Path, into: Path) -> Path:
    """A LoRA adapter of a base model, whose weights move the logits by far more than rounding does."""
    torch.manual_seed(1)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(base)
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS, r=2, lora_alpha=64, target_modules=["query", "value"], init_lora_weights=False
    )
    get_peft_model(network, config).save_pretrained(into)
    return into


def test_an_adapter_is_merged_into_the_base_that_it_names(tmp_path: Path) -> None:
    base = hugging_face_directory(tmp_path / "base", ARCHITECTURES["bert"](1))
    lora = adapter(base, tmp_path / "lora")
    version = from_pretrained(str(lora), tmp_path / "version")
    from peft import PeftModel

    network = transformers.AutoModelForSequenceClassification.from_pretrained(base)
    merged = PeftModel.from_pretrained(network, str(lora)).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    for row, sample in zip(weirs_logits(version, SHOWN), SHOWN, strict=True):
        inputs = tokenizer([item_text(sample)], [sample.query], truncation=True, max_length=32, return_tensors="pt")
        with torch.no_grad():
            np.testing.assert_allclose(row, merged(**inputs).logits[0].double().numpy(), atol=1e-5)
    assert np.abs(weirs_logits(version, SHOWN) - own_logits(base, SHOWN)).max() > 1e-4


Spoil = Callable[[Path], object]
SPOILT: dict[str, Spoil] = {
    "names no base_model_name_or_path": lambda lora: (lora / "adapter_config.json").write_text("{}"),
    "cannot be loaded": lambda lora: (lora / "adapter_model.safetensors").write_bytes(b"no tensors"),
    "pickled weights only": lambda lora: (lora / "adapter_model.safetensors").rename(lora / "adapter_model.bin"),
}


@pytest.mark.parametrize("reason", SPOILT)
def test_a_spoilt_adapter_is_refused(reason: str, tmp_path: Path) -> None:
    lora = adapter(hugging_face_directory(tmp_path / "base", ARCHITECTURES["bert"](1)), tmp_path / "lora")
    SPOILT[reason](lora)
    with pytest.raises((BadArtifact, InvalidInput), match=reason):
        from_pretrained(str(lora), tmp_path / "version")
