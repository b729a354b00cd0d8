"""The networks: the small built-in one, and any sequence classifier of transformers, behind one forward.

Both read a `Batch` and return logits together with what the estimators need. Independent of files.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from importance.errors import InvalidInput
from trainer.tokens import Batch


@dataclass(frozen=True, eq=False, slots=True)
class Output:
    """logits: [n, 1 or 2]; hidden: [n, H], the input of the final Linear; embeddings: [n, T, D], when asked for.

    ``further``: [n, k − 1], the logits of further tasks, None without any.
    """

    logits: Tensor
    hidden: Tensor
    embeddings: Tensor | None = None
    further: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the built-in network. The default has 0.26 million parameters with a vocabulary of 2,000."""

    vocabulary: int
    width: int = 64
    layers: int = 2
    heads: int = 2
    head_width: int = 128
    max_tokens: int = 32
    dropout: float = 0.1
    special_ids: tuple[int, ...] = field(default=(0, 2, 3))
    """Padding, [CLS] and [SEP]: tokens that belong to neither item nor query."""


class InteractionModel(nn.Module):
    """A small BERT over the pair, and a head that compares item and query.

    u and v are the means of the item's and of the query's vectors (encoder output plus word embedding); the head is
    an MLP on [u, v, u·v, |u − v|, cos(u, v), has query]. A plain pair classifier of this size cannot use the query.
    Each of ``tasks`` labels has a logit of its own, the scored one the first.
    """

    def __init__(self, shape: Shape, tasks: int = 1) -> None:
        super().__init__()
        self.shape = shape
        self.tasks = tasks
        self.bert = BertModel(_bert_config(shape), add_pooling_layer=False)
        self.compare = nn.Linear(4 * shape.width + 2, shape.head_width)
        self.dropout = nn.Dropout(shape.dropout)
        self.final = nn.Linear(shape.head_width, tasks)
        self.register_buffer("special", torch.tensor(shape.special_ids), persistent=False)
        for layer in (self.compare, self.final):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, batch: Batch, embeddings: bool = False) -> Output:
        """Return logits [n, 1] of a batch; with ``embeddings`` also the word embeddings, which then require grad."""
        words = self.bert.embeddings.word_embeddings(batch.ids)
        if embeddings:
            words = _with_gradient(words)
        encoded = self.bert(
            inputs_embeds=words, attention_mask=batch.mask, token_type_ids=batch.types
        ).last_hidden_state
        vectors = encoded + words
        is_word = ~torch.isin(batch.ids, self.get_buffer("special"))
        u, _ = _mean(vectors, is_word & (batch.types == 0))
        v, has_query = _mean(vectors, is_word & (batch.types == 1))
        cosine = functional.cosine_similarity(u, v, dim=1).unsqueeze(1)
        features = torch.cat([u, v, u * v, (u - v).abs(), cosine, has_query], dim=1)
        hidden = self.dropout(functional.gelu(self.compare(features)))
        logits, further = _divided(self.final(hidden), self.tasks)
        return Output(logits, hidden, words if embeddings else None, further)


class PairClassifier(nn.Module):
    """Any sequence classifier of transformers with one or two logits, read as P(label = 1), or one for each task.

    One that classifies by the last token, as GPT-2 does, must have a padding token in its configuration.
    """

    def __init__(self, network: Any, reads_types: bool, tasks: int = 1) -> None:
        super().__init__()
        self.network = network
        self.tasks = tasks
        self._reads_types = reads_types
        name, outputs, self._by_token = _final_linear(network)
        if outputs not in ((1, 2) if tasks == 1 else (tasks,)):
            allowed = "1 or 2" if tasks == 1 else f"one for each of {tasks} tasks"
            raise InvalidInput(f"the model has {outputs} outputs; it must have {allowed}: choose another base model")
        self.final: nn.Linear = network.get_submodule(name)

    def forward(self, batch: Batch, embeddings: bool = False) -> Output:
        """Return logits [n, 1 or 2] of a batch; with ``embeddings`` also the word embeddings, which require grad."""
        seen: dict[str, Tensor] = {}

        def keep_input(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            seen["hidden"] = arguments[0]

        def make_leaf(_: nn.Module, __: object, words: Tensor) -> Tensor:
            seen["words"] = _with_gradient(words)
            return seen["words"]

        hooks = [self.final.register_forward_pre_hook(keep_input)]
        if embeddings:
            hooks.append(self.network.get_input_embeddings().register_forward_hook(make_leaf))
        try:
            logits = self.network(**self._arguments(batch)).logits
        finally:
            for hook in hooks:
                hook.remove()
        hidden = seen["hidden"]
        if self._by_token:
            hidden = hidden[torch.arange(len(hidden), device=hidden.device), batch.mask.sum(dim=1) - 1]
        scored, further = _divided(logits, self.tasks)
        return Output(scored, hidden, seen.get("words"), further)

    def _arguments(self, batch: Batch) -> dict[str, Tensor]:
        arguments = {"input_ids": batch.ids, "attention_mask": batch.mask}
        return arguments | {"token_type_ids": batch.types} if self._reads_types else arguments


Network = InteractionModel | PairClassifier


def last_layer(network: Network) -> Tensor:
    """Return weight and bias of the scored label's logits [1 or 2, H + 1], the bias last and 0 where there is none."""
    final = network.final
    bias = torch.zeros_like(final.weight[:, 0]) if final.bias is None else final.bias
    layer = torch.cat([final.weight, bias.unsqueeze(1)], dim=1).detach()
    return layer[:1] if network.tasks > 1 else layer


def positive_probability(logits: Tensor) -> Tensor:
    """Return P(label = 1) [n] of logits [n, 1 or 2].

    >>> positive_probability(torch.tensor([[0.0], [0.0]])).tolist()
    [0.5, 0.5]
    """
    return torch.softmax(logits.float(), dim=1)[:, 1] if logits.shape[1] == 2 else torch.sigmoid(logits.float())[:, 0]


def losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return −log p_y = ln(1 + e^−m) of each sample [n], in nats, of logits [n, 1 or 2] and labels [n] in {0, 1}.

    m is the margin of the label's class. Written so, a gradient is ±σ(−m), right to the last digits however sure the
    model is; that of a cross entropy is p − y, which is 0 in float32 from a margin of 17.
    """
    logits = logits.float()
    margin = logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
    return functional.softplus((1 - 2 * labels) * margin)


def task_losses(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_t w_t ℓ_t [n], in nats, over the tasks whose label is known, ℓ as in `losses`; 0 where none is.

    logits [n, t], labels [n, t] in {0, 1} or negative where missing, weights [t]. A missing label has no gradient.
    """
    logits, known = logits.float(), labels >= 0
    each = functional.softplus((1 - 2 * labels.clamp(min=0)) * logits)
    return torch.where(known, each, 0.0) @ weights


def _divided(logits: Tensor, tasks: int) -> tuple[Tensor, Tensor | None]:
    """Divide logits into those of the scored label, and those of further tasks."""
    return (logits[:, :1], logits[:, 1:]) if tasks > 1 else (logits, None)


def _with_gradient(words: Tensor) -> Tensor:
    """Return word embeddings that gradients can be computed of: unchanged, or a leaf where they have no graph."""
    return words if words.requires_grad else words.detach().requires_grad_()


def _bert_config(shape: Shape) -> BertConfig:
    return BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        max_position_embeddings=shape.max_tokens,
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.dropout,
        pad_token_id=shape.special_ids[0],
    )


def _mean(vectors: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean [n, D] of the chosen [n, T] of vectors [n, T, D], zero without any; and whether any is [n, 1]."""
    weights = chosen.to(vectors.dtype).unsqueeze(1)
    count = weights.sum(dim=2)
    return (weights @ vectors).squeeze(1) / count.clamp(min=1), (count > 0).to(vectors.dtype)


def _final_linear(network: Any) -> tuple[str, int, bool]:
    """Return the name of the Linear whose output *is* the logits, found by running a few tokens, and its outputs.

    Third, whether it is applied to every token and the logits are those of the last one, as in GPT-2.
    """
    results: dict[str, Tensor] = {}

    def keep_output(name: str) -> Any:
        def hook(_: nn.Module, __: object, result: Tensor) -> None:
            results[name] = result

        return hook

    hooks = [
        module.register_forward_hook(keep_output(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        with torch.no_grad():
            token = torch.zeros(1, 4, dtype=torch.long)
            logits = network(input_ids=token, attention_mask=torch.ones_like(token)).logits
    finally:
        for hook in hooks:
            hook.remove()
    for name, result in results.items():
        if result is logits and result.ndim == 2:
            return name, result.shape[1], False
        if result.ndim == 3 and any(result[:, at].equal(logits) for at in range(result.shape[1])):
            return name, result.shape[2], True
    raise InvalidInput(
        f"{type(network).__name__} has no final Linear that yields its logits: choose another base model"
    )
