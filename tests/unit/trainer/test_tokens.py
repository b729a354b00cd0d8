"""Pairs as token ids."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import BadArtifact
from importance.sample import Sample
from trainer.bootstrap import train_tokenizer
from trainer.tokens import Encoded, Tokens, item_text, price_band
from trainer.version_directory import Model

SAMPLE = Sample("i", "s", "ad", "blue mug", "8", "red lantern", 0, 0, 0, attributes={"price": 2.95})
TOKENIZER = train_tokenizer(["red lantern price9", "blue mug", "green clock"], 100)


def test_the_input_is_item_price_band_and_query() -> None:
    tokens = Tokens(TOKENIZER, 0, 32)
    encoded = tokens.encode([SAMPLE])
    expected = TOKENIZER.encode("red lantern price9", "blue mug")
    assert expected.tokens[0] == "[CLS]"
    assert expected.tokens[-1] == "[SEP]"
    assert encoded.ids[0].tolist() == expected.ids
    assert encoded.types[0].tolist() == expected.type_ids


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=90)), min_size=1, max_size=8), st.integers(8, 40))
def test_encoding_by_parts_equals_encoding_whole_pairs(pairs: list[tuple[str, str]], longest: int) -> None:
    tokens = Tokens(TOKENIZER, 0, longest)
    encoded = tokens.encode([msgspec.structs.replace(SAMPLE, text=a, query=b, attributes={}) for a, b in pairs])
    for row, (text, query) in enumerate(pairs):
        whole = TOKENIZER.encode(text, query)
        assert encoded.ids[row, : encoded.lengths[row]].tolist() == whole.ids
        assert encoded.types[row, : encoded.lengths[row]].tolist() == whole.type_ids
        assert encoded.lengths[row] <= longest


def test_nothing_is_encoded_to_nothing(untrained: Model) -> None:
    assert len(untrained.tokens.encode([])) == 0
    assert list(untrained.tokens.encode([]).by_length(8)) == []


def test_a_batch_is_padded_to_its_own_longest_row() -> None:
    encoded = Encoded(np.array([[5, 6, 7], [5, 0, 0], [5, 6, 0]]), np.zeros((3, 3), np.int64), np.array([3, 1, 2]))
    batch = encoded.batch(np.array([1, 2]))
    assert batch.ids.tolist() == [[5, 0], [5, 6]]
    assert batch.mask.tolist() == [[1, 0], [1, 1]]


@given(st.lists(st.integers(1, 32), max_size=50), st.integers(1, 9))
def test_batches_of_like_length_hold_every_row_once(lengths: list[int], size: int) -> None:
    rectangle = np.zeros((len(lengths), 32), np.int64)
    batches = list(Encoded(rectangle, rectangle, np.array(lengths, np.int64)).by_length(size))
    assert sorted(int(row) for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)
    flat = [lengths[row] for batch in batches for row in batch]
    assert flat == sorted(flat)


@pytest.mark.parametrize("price", [None, "2.95", True, 0, -1.0, float("nan"), float("inf")])
def test_what_is_no_price_adds_no_word(price: object) -> None:
    assert price_band(price) == ""
    assert item_text(msgspec.structs.replace(SAMPLE, attributes={"price": price})) == "red lantern"


@given(st.floats(1e-6, 1e9), st.floats(1e-6, 1e9))
def test_a_higher_price_never_has_a_lower_band(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert int(price_band(low).removeprefix("price")) <= int(price_band(high).removeprefix("price"))


def test_a_tokenizer_file_that_is_none_is_a_bad_artifact(tmp_path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(BadArtifact, match=r"tokenizer\.json"):
        Tokens.load(tmp_path / "tokenizer.json", 0)
