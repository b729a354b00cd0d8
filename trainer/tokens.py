"""From samples to token ids: `[CLS] item text, price band [SEP] query [SEP]`, truncated to a bounded length.

Defines the wording of the input and the padding of batches; independent of networks.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite, log2
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from importance.errors import BadArtifact
from importance.sample import Pair, Sample

MAX_TOKENS = 32
PRICE_BANDS = 20


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Padded token ids of n pairs: ``ids``, ``types`` (0 item, 1 query) and ``mask`` (0 is padding) are [n, T]."""

    ids: Tensor
    types: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the same on another device."""
        return Batch(self.ids.to(device), self.types.to(device), self.mask.to(device))


@dataclass(frozen=True, eq=False, slots=True)
class Encoded:
    """Token ids of n pairs as a rectangle [n, longest], padded on the right; ``lengths`` [n] in tokens."""

    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return these rows, padded to the longest of them only."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        return Batch(*(torch.from_numpy(part) for part in (self.ids[rows, :longest], self.types[rows, :longest], mask)))

    def rows(self, rows: NDArray[np.int64]) -> "Encoded":
        """Return these rows only."""
        return Encoded(self.ids[rows], self.types[rows], self.lengths[rows])

    def pairs(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a number for the (query, item) of each of these rows: a hash of its token ids."""
        read = (self.ids[row, : self.lengths[row]].tobytes() for row in rows)
        digests = b"".join(blake2b(ids, digest_size=8).digest() for ids in read)
        return np.frombuffer(digests, ">i8").astype(np.int64)

    def by_length(self, batch_size: int) -> Iterator[NDArray[np.int64]]:
        """Yield all rows in batches of like length, so that little is computed on padding."""
        order = np.argsort(self.lengths, kind="stable")
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]


class Tokens:
    """A tokenizer with the input's wording and length. Part of a version: two trainings of one differ."""

    def __init__(self, tokenizer: Tokenizer, pad_id: int, max_tokens: int = MAX_TOKENS) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=max_tokens, strategy="longest_first")
        self._tokenizer = tokenizer
        self.pad_id = pad_id
        self.max_tokens = max_tokens
        self.definition: str = tokenizer.to_str()
        self.largest_id = max(tokenizer.get_vocab().values(), default=0)

    @classmethod
    def load(cls, file: Path, pad_id: int, max_tokens: int = MAX_TOKENS) -> "Tokens":
        """Read ``tokenizer.json``."""
        try:
            return cls(Tokenizer.from_file(str(file)), pad_id, max_tokens)
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise BadArtifact(f"{file} is not a valid tokenizer: {_one_line(error)}") from error

    def copy(self) -> Tokenizer:
        """Return a copy of the tokenizer itself."""
        return Tokenizer.from_str(self.definition)

    def save(self, file: Path) -> None:
        """Write ``tokenizer.json``."""
        file.write_text(self.definition, encoding="utf-8")

    def encode(self, samples: Sequence[Sample]) -> Encoded:
        """Return the token ids of samples, in order.

        Each text is split once a call, since a slate repeats its query and a shop its items: 3.5 times as fast.
        """
        pairs = [(item_text(sample), sample.query) for sample in samples]
        return self.encode_pairs(pairs, self.split({text for pair in pairs for text in pair}))

    def split(self, texts: AbstractSet[str]) -> dict[str, Encoding]:
        """Return the tokens of each text, without those that join a pair."""
        each = list(texts)
        return dict(zip(each, self._tokenizer.encode_batch_fast(each, add_special_tokens=False), strict=True))

    def encode_pairs(self, pairs: Sequence[Pair], split: Mapping[str, Encoding]) -> Encoded:
        """Return the token ids of pairs, in order, of their texts as `split` returned them."""
        encodings = [self._tokenizer.post_process(split[item], split[query]) for item, query in pairs]
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        shape = (len(encodings), int(lengths.max(initial=1)))
        ids = np.full(shape, self.pad_id, np.int64)
        types = np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : lengths[row]] = encoding.ids
            types[row, : lengths[row]] = encoding.type_ids
        return Encoded(ids, types, lengths)


def item_text(sample: Sample) -> str:
    """Return the item's text and, where the attribute ``price`` is a number above 0, its price band.

    >>> item_text(Sample("i", "s", "ad", "", "8", "red lantern", 0, 0, 0, attributes={"price": 2.95}))
    'red lantern price9'
    """
    band = price_band(sample.attributes.get("price"))
    return f"{sample.text} {band}" if band else sample.text


def price_band(price: object) -> str:
    """Return a word for a price: half an octave a band, whatever the currency; empty without a price.

    >>> [price_band(price) for price in (0.42, 2.95, 1e9, None, "2.95", 0)]
    ['price3', 'price9', 'price19', '', '', '']
    """
    if isinstance(price, bool) or not isinstance(price, int | float) or not (isfinite(price) and price > 0):
        return ""
    return f"price{min(max(round(2 * log2(price)) + 6, 0), PRICE_BANDS - 1)}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
