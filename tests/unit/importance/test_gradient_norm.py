"""The exact per-sample gradient norm against a loop over samples, on tiny random networks of every supported kind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional

from importance.errors import InvalidInput
from importance.estimators.gradient_norm import GradientNorm, Subset
from trainer.model import InteractionModel, Shape, losses
from trainer.tokens import Batch

VOCABULARY, LENGTH, SAMPLES, PAD = 40, 7, 5, 0
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 16, "pad_token_id": PAD, "num_labels": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A network, and the losses [n] of these rows of its batch, padded on the right."""

    network: nn.Module
    losses: Callable[[Tensor], Tensor]
    """Of row numbers."""


def ids(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Token ids that repeat within a sample, and the mask of 1 to `LENGTH` tokens."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, LENGTH + 1, (SAMPLES, 1), generator=random)
    lengths[0] = LENGTH
    mask = (torch.arange(LENGTH) < lengths).long()
    return torch.randint(1, 12, (SAMPLES, LENGTH), generator=random) * mask, mask


def classifier(network: Any) -> Case:
    tokens, mask = ids()
    labels = torch.arange(SAMPLES) % 3

    def of(rows: Tensor) -> Tensor:
        logits = network(input_ids=tokens[rows], attention_mask=mask[rows]).logits
        return functional.cross_entropy(logits, labels[rows], reduction="none")

    return Case(perturbed(network), of)


def language_model(network: Any, shift: int) -> Case:
    """Loss a sample: the mean over its tokens, each predicting the one ``shift`` further on."""
    tokens, mask = ids()

    def of(rows: Tensor) -> Tensor:
        logits = network(input_ids=tokens[rows], attention_mask=mask[rows]).logits
        targets = tokens[rows].roll(-shift, dims=1)
        each = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
        return (each * mask[rows]).sum(dim=1) / mask[rows].sum(dim=1)

    return Case(perturbed(network), of)


def perturbed(network: nn.Module) -> nn.Module:
    """Biases and scales away from 0 and 1, and a gradient that is not tiny."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random))
    return network


def gemma() -> Case:
    """Its norms scale by 1 + w; its word embedding scales what it looks up, and so is no plain Embedding."""
    config = transformers.GemmaConfig(**SMALL | {"num_key_value_heads": 1, "head_dim": 8})
    return classifier(transformers.GemmaForSequenceClassification(config))


def built_in() -> Case:
    network = InteractionModel(Shape(VOCABULARY, width=16, heads=2, head_width=12))
    tokens, mask = ids()
    tokens[:, 3] = 3 * mask[:, 3]
    types = (torch.arange(LENGTH) > 3).long() * mask
    labels = torch.arange(SAMPLES) % 2

    def of(rows: Tensor) -> Tensor:
        return losses(network(Batch(tokens[rows], types[rows], mask[rows])).logits, labels[rows])

    return Case(perturbed(network), of)


def bert(**changes: Any) -> Any:
    return transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL | changes))


def gpt2_config() -> Any:
    return transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=16, pad_token_id=PAD, num_labels=3
    )


def llama_config(**changes: Any) -> Any:
    return transformers.LlamaConfig(**SMALL | {"num_key_value_heads": 1} | changes)


def lora() -> Any:
    settings = LoraConfig(task_type="SEQ_CLS", r=3, lora_alpha=5, target_modules=["query", "value", "dense"])
    return get_peft_model(bert(), settings)


CASES: dict[str, Callable[[], Case]] = {
    "BERT": lambda: classifier(bert()),
    "BERT, masked LM, tied": lambda: language_model(transformers.BertForMaskedLM(transformers.BertConfig(**SMALL)), 0),
    "RoBERTa": lambda: classifier(
        transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**SMALL))
    ),
    "DistilBERT": lambda: classifier(
        transformers.DistilBertForSequenceClassification(
            transformers.DistilBertConfig(
                vocab_size=VOCABULARY, dim=16, n_layers=2, n_heads=2, hidden_dim=24, pad_token_id=PAD, num_labels=3
            )
        )
    ),
    "MiniLM": lambda: classifier(
        bert(hidden_size=48, num_hidden_layers=6, num_attention_heads=12, intermediate_size=192)
    ),
    "ALBERT, layers shared": lambda: classifier(
        transformers.AlbertForSequenceClassification(transformers.AlbertConfig(**SMALL | {"embedding_size": 8}))
    ),
    "GPT-2": lambda: classifier(transformers.GPT2ForSequenceClassification(gpt2_config())),
    "GPT-2, causal LM, tied": lambda: language_model(transformers.GPT2LMHeadModel(gpt2_config()), 1),
    "Llama": lambda: classifier(transformers.LlamaForSequenceClassification(llama_config())),
    "Llama, causal LM, tied": lambda: language_model(
        transformers.LlamaForCausalLM(llama_config(tie_word_embeddings=True)), 1
    ),
    "LoRA": lambda: classifier(lora()),
    "built in": built_in,
}  # fmt: skip


def loop(case: Case, parameters: list[nn.Parameter]) -> Tensor:
    """Sample by sample, through autograd alone."""
    case.network.eval()
    norms = []
    for row in range(SAMPLES):
        (loss,) = case.losses(torch.tensor([row]))
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        norms.append(torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt())
    return torch.stack(norms)


def places(name: str) -> bool:
    return "position" in name or "token_type" in name or "wpe" in name


@pytest.mark.parametrize("name", CASES)
def test_the_norm_is_that_of_a_loop_over_samples(name: str) -> None:
    torch.manual_seed(0)
    case = CASES[name]()
    chosen = [p for full, p in case.network.named_parameters() if p.requires_grad and not places(full)]
    expected = loop(case, chosen)
    assert bool((expected > 1e-3).all())
    torch.testing.assert_close(norms_of(case), expected, rtol=1e-5, atol=0)


def norms_of(case: Case, subset: Subset = "all", fallback: bool = False) -> Tensor:
    """Of the second pass; the first one, which also checks, must say the same."""
    gradient_norm = GradientNorm(case.network, subset, fallback)
    passes = []
    for _ in range(2):
        with gradient_norm.watch() as watched:
            passes.append(watched.norms(case.losses(torch.arange(SAMPLES))))
    torch.testing.assert_close(*passes, rtol=1e-5, atol=0)
    return passes[1]


def test_what_is_not_covered_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"does not cover model.embed_tokens \(GemmaTextScaledWordEmbedding\): "):
        GradientNorm(gemma().network)


def test_the_fallback_covers_the_rest_sample_by_sample() -> None:
    case = gemma()
    expected = loop(case, list(case.network.parameters()))
    torch.testing.assert_close(norms_of(case, fallback=True), expected, rtol=1e-5, atol=0)
