"""Predictions of rankings: the scorer's own, whatever was kept, and whatever they were computed together with."""

import gc
from pathlib import Path
from weakref import ref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from importance.errors import Unavailable
from importance.mixture import parse
from importance.sample import Pair, Sample
from importance.scores import SHADOW
from trainer.bootstrap import from_pretrained
from trainer.byte_cache import ENTRY_BYTES, ByteCache
from trainer.ranker import Ranker
from trainer.scorer import Scorer, ScoringConfig

from .conftest import ARCHITECTURES, COLOURS, THINGS, hugging_face_directory

WORDS = st.lists(st.sampled_from([*COLOURS, *THINGS, "unknown", "price3"]), max_size=30).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=40)


@pytest.fixture(scope="session")
def pair_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bert")
    base = hugging_face_directory(directory / "base", ARCHITECTURES["bert"](2))
    return from_pretrained(str(base), directory / "1", max_tokens=24)


def serving(version: str, directory: Path) -> Scorer:
    scorer = Scorer(ScoringConfig(parse("uniform")), torch.device("cpu"))
    scorer.swap(version, directory)
    return scorer


def expected(scorer: Scorer, pairs: list[Pair]) -> np.ndarray:
    return scorer.estimate([Sample("i", "s", "ad", query, "8", text, 0, 0, 0) for text, query in pairs])[1].prediction


@pytest.mark.parametrize("network", ["first", "pair_classifier"])
def test_a_prediction_depends_on_its_pair_alone(network: str, request: pytest.FixtureRequest) -> None:
    scorer = serving("1", request.getfixturevalue(network))

    @settings(max_examples=25, deadline=None)
    @given(PAIRS, st.sampled_from([0, 6_000, 1 << 20]), st.integers(1, 40), st.randoms())
    def holds(pairs: list[Pair], cache_bytes: int, size: int, random: object) -> None:
        ranker = Ranker(scorer, cache_bytes)
        wanted = dict(zip(pairs, expected(scorer, pairs), strict=True))
        asked = [*pairs, *random.sample(pairs, len(pairs))]  # type: ignore[attr-defined]  # each again, in another order
        for start in range(0, len(asked), size):
            part = asked[start : start + size]
            predictions, cached = ranker.predict(part)
            assert predictions.version == "1"
            assert predictions.values == pytest.approx([wanted[pair] for pair in part], abs=1e-6)
            assert cached <= (len(part) if cache_bytes else 0)

    holds()


def test_what_was_predicted_is_kept_until_another_version_serves(first: Path, second: Path) -> None:
    scorer = serving("1", first)
    ranker = Ranker(scorer, 1 << 20)
    pairs = [("red mug", "red"), ("blue mug", "red")]
    assert ranker.predict(pairs)[1] == 0
    assert ranker.predict([*pairs, ("green mug", "red")])[1] == 2
    scorer.swap("2", second)
    predictions, cached = ranker.predict(pairs)
    assert (predictions.version, cached) == ("2", 0)
    assert predictions.values == pytest.approx(expected(scorer, pairs), abs=1e-6)


def test_nothing_is_kept_of_a_candidate_that_was_dropped(first: Path, second: Path) -> None:
    scorer = serving("1", first)
    scorer.compare(SHADOW, "2", second)
    canary = Ranker(scorer, 1 << 20, SHADOW)
    with scorer.serving(SHADOW) as served:
        network = ref(served.model.network)
    del served
    for cached in (0, 1):
        predictions, known = canary.predict([("red mug", "red")])
        assert (predictions.version, known) == ("2", cached)
        canary.release()
    scorer.drop(SHADOW)
    canary.release()
    gc.collect()
    assert network() is None
    assert canary.predict([("red mug", "red")])[0].version == "1"


def test_without_a_version_there_is_no_prediction() -> None:
    ranker = Ranker(Scorer(ScoringConfig(parse("uniform")), torch.device("cpu")), 0)
    with pytest.raises(Unavailable, match="weir models init"):
        ranker.predict([("mug", "red")])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 500)), max_size=60), st.integers(0, 3_000))
def test_a_cache_stays_within_its_bound_and_drops_the_least_recently_used(
    puts: list[tuple[int, int]], max_bytes: int
) -> None:
    cache = ByteCache[int, int](max_bytes)
    used: dict[int, int] = {}  # in order of use
    for key, size in puts:
        cache.put(key, size, size)
        used.pop(key, None)
        used[key] = size
        assert cache.size_bytes <= max_bytes
    fitting = [key for key, size in used.items() if size + ENTRY_BYTES <= max_bytes]
    held = [cache.get(key) is not None for key in fitting]
    assert held == sorted(held)  # the most recently used ones
    if puts and puts[-1][0] in fitting:
        assert cache.get(puts[-1][0]) == puts[-1][1]
