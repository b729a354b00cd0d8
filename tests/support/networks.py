"""Tiny random networks of the kinds Weir takes, each with the loss of every sample of a padded batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional

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


def token_ids(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Token ids that repeat within a sample, and the mask of 1 to `LENGTH` tokens."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, LENGTH + 1, (SAMPLES, 1), generator=random)
    lengths[0] = LENGTH
    mask = (torch.arange(LENGTH) < lengths).long()
    return torch.randint(1, 12, (SAMPLES, LENGTH), generator=random) * mask, mask


def classifier(network: Any) -> Case:
    tokens, mask = token_ids()
    labels = torch.arange(SAMPLES) % 3

    def of(rows: Tensor) -> Tensor:
        logits = network(input_ids=tokens[rows], attention_mask=mask[rows]).logits
        return functional.cross_entropy(logits, labels[rows], reduction="none")

    return Case(perturbed(network), of)


def language_model(network: Any, shift: int) -> Case:
    """Loss a sample: the mean over its tokens, each predicting the one ``shift`` further on."""
    tokens, mask = token_ids()

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
    tokens, mask = token_ids()
    tokens[:, 3] = 3 * mask[:, 3]
    types = (torch.arange(LENGTH) > 3).long() * mask
    labels = torch.arange(SAMPLES) % 2

    def of(rows: Tensor) -> Tensor:
        return losses(network(Batch(tokens[rows], types[rows], mask[rows])).logits, labels[rows])

    return Case(perturbed(network), of)


def bert(**changes: Any) -> Any:
    return transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL | changes))


def deberta() -> Case:
    """Its attention sends relative positions, shared by the batch, through layers that also read each sample."""
    positions = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
    config = transformers.DebertaV2Config(**SMALL | positions | {"position_buckets": 4})
    return classifier(transformers.DebertaV2ForSequenceClassification(config).eval())


def gpt2_config() -> Any:
    return transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=16, pad_token_id=PAD, num_labels=3
    )


def llama_config(**changes: Any) -> Any:
    return transformers.LlamaConfig(**SMALL | {"num_key_value_heads": 1} | changes)


def lora() -> Any:
    settings = LoraConfig(task_type="SEQ_CLS", r=3, lora_alpha=5, target_modules=["query", "value", "dense"])
    return get_peft_model(bert(), settings)


NETWORKS: dict[str, Callable[[], Case]] = {
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
