"""The built-in network as a model of transformers, which needs torch and transformers only.

``weir models export`` copies this file to the weights, so that ``AutoModelForSequenceClassification`` can load them
where Weir is not installed, with ``trust_remote_code=True``. It computes what `trainer.model.InteractionModel` does, by
parameters of the same names; a test holds the two together.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class InteractionConfig(PretrainedConfig):
    """The size of the network, and the ids of padding, [CLS] and [SEP]."""

    model_type = "weir_interaction"

    def __init__(
        self,
        vocabulary: int = 2_000,
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        head_width: int = 128,
        max_tokens: int = 32,
        dropout: float = 0.1,
        special_ids: Sequence[int] = (0, 2, 3),
        **others: Any,
    ) -> None:
        self.vocabulary, self.width, self.layers, self.heads = vocabulary, width, layers, heads
        self.head_width, self.max_tokens, self.dropout = head_width, max_tokens, dropout
        self.special_ids = list(special_ids)
        if others.get("id2label") is None:
            others = {"num_labels": 1, **others}
        super().__init__(**{"pad_token_id": self.special_ids[0], **others})


class InteractionForSequenceClassification(PreTrainedModel):
    """BERT over the pair of item and query, and an MLP on [u, v, u·v, |u − v|, cos(u, v), has query]."""

    config_class = InteractionConfig
    base_model_prefix = "bert"

    def __init__(self, config: InteractionConfig) -> None:
        super().__init__(config)
        bert = BertConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.width,
            max_position_embeddings=config.max_tokens,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            pad_token_id=config.special_ids[0],
        )
        self.bert = BertModel(bert, add_pooling_layer=False)
        self.compare = nn.Linear(4 * config.width + 2, config.head_width)
        self.dropout = nn.Dropout(config.dropout)
        self.final = nn.Linear(config.head_width, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Return logits [n, num_labels] of pairs [n, T] of item (type 0) and query (type 1)."""
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        words = self.bert.embeddings.word_embeddings(input_ids)
        encoded = self.bert(inputs_embeds=words, attention_mask=attention_mask, token_type_ids=types)
        vectors = encoded.last_hidden_state + words
        special = torch.tensor(self.config.special_ids, device=input_ids.device)
        is_word = ~torch.isin(input_ids, special)
        u, _has_item = _mean(vectors, is_word & (types == 0))
        v, has_query = _mean(vectors, is_word & (types == 1))
        cosine = functional.cosine_similarity(u, v, dim=1).unsqueeze(1)
        features = torch.cat([u, v, u * v, (u - v).abs(), cosine, has_query], dim=1)
        hidden = self.dropout(functional.gelu(self.compare(features)))
        return SequenceClassifierOutput(logits=self.final(hidden))


def _mean(vectors: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean [n, D] of the chosen [n, T] of vectors [n, T, D], and whether there are any [n, 1]."""
    weights = chosen.to(vectors.dtype).unsqueeze(1)
    count = weights.sum(dim=2)
    return (weights @ vectors).squeeze(1) / count.clamp(min=1), (count > 0).to(vectors.dtype)
