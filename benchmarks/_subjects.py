"""Networks for measuring gradients: two with random weights, and batches of random tokens without padding."""

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer, models
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from trainer.model import InteractionModel, PairClassifier, Shape, losses
from trainer.tokens import Batch, Encoded, Tokens
from trainer.version_directory import Card, Model

LONGEST = 512
_VOCABULARY = {"MiniLM-size": 30_522, "built-in": 2_000}
NETWORKS = tuple(_VOCABULARY)


class Subject(nn.Module):
    """A network and its losses. Parameters outside the norm (of positions and token types) are frozen."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for name, parameter in network.named_parameters():
            parameter.requires_grad_("position" not in name and "token_type" not in name)

    def forward(self, ids: Tensor, types: Tensor, mask: Tensor | None, labels: Tensor) -> Tensor:
        """The loss of each sample [n], of tokens [n, T] and labels [n]."""
        if isinstance(self.network, InteractionModel):
            assert mask is not None
            logits = self.network(Batch(ids, types, mask)).logits
        else:
            logits = self.network(input_ids=ids, attention_mask=mask, token_type_ids=types).logits
        return losses(logits, labels)


@dataclass(frozen=True)
class Rows:
    """Tokens and labels of n samples, as `Subject` takes them."""

    ids: Tensor
    types: Tensor
    mask: Tensor
    labels: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In the order of the arguments."""
        return self.ids, self.types, self.mask, self.labels

    @property
    def encoded(self) -> Encoded:
        """Without the labels, as a tokenizer gives them."""
        return Encoded(self.ids.numpy(), self.types.numpy(), np.full(len(self.ids), self.ids.shape[1]))


def network(name: str, seed: int = 0) -> nn.Module:
    """The network of that name: the shape of all-MiniLM-L6 with two logits, or the built-in one.

    Without dropout: opacus computes norms in training mode only.
    """
    torch.manual_seed(seed)
    if name == "built-in":
        return InteractionModel(Shape(_VOCABULARY[name], max_tokens=LONGEST, dropout=0.0)).eval()
    config = BertConfig(
        vocab_size=_VOCABULARY[name],
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=LONGEST,
        num_labels=2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    network: nn.Module = BertForSequenceClassification(config).eval()
    return network


def rows(name: str, batch: int, tokens: int, seed: int = 0) -> Rows:
    """Random token ids above the special ones, the second half of the second kind."""
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(1_000, _VOCABULARY[name], (batch, tokens), generator=random)
    types = (torch.arange(tokens) >= tokens // 2).long().expand(batch, tokens).contiguous()
    return Rows(ids, types, torch.ones_like(ids), torch.arange(batch) % 2)


def model(name: str, device: torch.device | None = None) -> Model:
    """The network of that name as a version in memory, with a tokenizer without words."""
    inner = network(name)
    wrapped = inner if isinstance(inner, InteractionModel) else PairClassifier(inner, reads_types=True)
    words = Tokens(Tokenizer(models.WordLevel({"[PAD]": 0}, "[PAD]")), pad_id=0)
    return Model(wrapped.to(device or "cpu"), words, Card("interaction", LONGEST, pad_id=0, seed=0))
