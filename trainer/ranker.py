"""Predict pairs of item and query for rankings, by the serving version, and keep what was computed for the next one.

The built-in network reads item and query together, as any pair classifier does: an item has no vector of its own that
could be kept. What can be kept without changing a score is the tokens of a text, and the prediction of a pair.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from tokenizers import Encoding

from importance.arrays import Floats
from importance.sample import Pair
from importance.scores import SERVING, Predictions
from trainer.byte_cache import ByteCache
from trainer.forward import Pass, run
from trainer.fused import FusedNetwork
from trainer.model import InteractionModel, positive_probability
from trainer.scorer import Scorer, Served
from trainer.tokens import Encoded

_TOKENS_SHARE = 0.25
_PAIR_BYTES = 49 + 24  # a digest and a float of Python
_TOKEN_BYTES, _ENCODING_BYTES = 120, 400  # of the tokenizer's own memory: ids, offsets and the piece of text


class Ranker:
    """Predicts pairs by the version of a scorer's ``predictor``, or else the serving one; equal to its own predictions.

    Holds at most ``cache_bytes`` of tokens and predictions, of one version: another one starts empty. Safe to be used
    by several threads, one at a time; 0 bytes keep nothing. The weights of a version that was dropped are kept until
    the next prediction, unless `release` is called.
    """

    def __init__(self, scorer: Scorer, cache_bytes: int, predictor: str = SERVING) -> None:
        self._scorer = scorer
        self._predictor = predictor
        self._cache_bytes = cache_bytes
        self._version: _Version | None = None

    def predict(self, pairs: Sequence[Pair]) -> tuple[Predictions, int]:
        """Return the predictions of pairs, in order, and how many were known already; Unavailable without a version."""
        with self._scorer.serving(self._predictor) as served:
            if self._version is None or self._version.served is not served:
                self._version = _Version(served, self._scorer.autocast, self._cache_bytes)
            return self._version.predict(pairs)

    def release(self) -> None:
        """Drop what is kept of a version that the scorer has dropped, from any thread; Unavailable without one."""
        with self._scorer.serving(self._predictor) as served:
            if self._version is not None and self._version.served is not served:
                self._version = None


class _Version:
    """One version, and what is kept of it."""

    def __init__(self, served: Served, autocast: bool, cache_bytes: int) -> None:
        self.served = served
        network = served.model.network
        self._fused = FusedNetwork(network) if isinstance(network, InteractionModel) and not autocast else None
        self._autocast = autocast
        tokens_bytes = int(cache_bytes * _TOKENS_SHARE)
        self._tokens: ByteCache[str, Encoding] = ByteCache(tokens_bytes)
        self._predictions: ByteCache[bytes, float] = ByteCache(cache_bytes - tokens_bytes)

    def predict(self, pairs: Sequence[Pair]) -> tuple[Predictions, int]:
        keys = [_digest(pair) for pair in pairs]
        known = {key: self._predictions.get(key) for key in keys}
        wanted = {key: pair for key, pair in zip(keys, pairs, strict=True) if known[key] is None}
        if wanted:
            computed = self._compute(list(wanted.values())).tolist()
            for key, value in zip(wanted, computed, strict=True):
                self._predictions.put(key, value, _PAIR_BYTES)
            known |= zip(wanted, computed, strict=True)
        values = np.array([known[key] for key in keys], float)
        return Predictions(self.served.version, values), sum(key not in wanted for key in keys)

    def _compute(self, pairs: Sequence[Pair]) -> Floats:
        encoded = self._encoded(pairs)
        if self._fused is None:
            seen = run(self.served.model, encoded, autocast=self._autocast)
        else:
            seen = Pass(positive_probability(self._fused.logits(encoded)).double().cpu().numpy(), {})
        return seen.repaired()[0].prediction

    def _encoded(self, pairs: Sequence[Pair]) -> Encoded:
        texts = {text for pair in pairs for text in pair}
        held = {text: encoding for text in texts if (encoding := self._tokens.get(text)) is not None}
        tokens = self.served.model.tokens
        fresh = tokens.split(texts - held.keys())
        for text, encoding in fresh.items():
            self._tokens.put(text, encoding, 4 * len(text) + _TOKEN_BYTES * len(encoding) + _ENCODING_BYTES)
        return tokens.encode_pairs(pairs, held | fresh)


def _digest(pair: Pair) -> bytes:
    """Return a key of a pair, so that its texts need not be kept; the length separates them."""
    item, query = (text.encode("utf-8", "surrogatepass") for text in pair)
    return blake2b(b"%d %b%b" % (len(item), item, query), digest_size=16).digest()
