"""What a batch adds to the sums of the stream: each feature of each sample once, wherever batches end."""

from collections.abc import Sequence

import numpy as np
import pytest

from importance import quality
from importance.drift.block import Block
from importance.drift.registry import SOURCES
from importance.drift.sketch_key import ALL, SketchKey
from importance.drift.sketches import SEGMENTED, sketch
from importance.errors import InvalidInput
from importance.sample import Action, Sample
from importance.scores import SERVING, Embeddings, Predictions, Scores
from importance.segments import parse

HOUR_MS = 3_600_000
SEGMENTS = parse("country", "France=0")


def sample(number: int) -> Sample:
    """Every second one of France, every third with a price and category; a few hours, two partitions."""
    attributes = {"country": "France" if number % 2 else "Spain"} | ({"category": "lamps"} if number % 3 == 0 else {})
    return Sample(
        id=f"i{number}", subject="s", surface="search", query="q", item="p", text="x" * (1 + number),
        time_ms=number * HOUR_MS // 5, partition=number % 2, offset=number,
        actions=int(Action.CLICK if number % 4 == 0 else Action.NONE), rating=None,
        value=9.5 if number % 3 == 0 else None, attributes=attributes,
    )  # fmt: skip


def scores(samples: Sequence[Sample]) -> Scores:
    """Of a version v2, with predictions and embeddings that depend on the sample alone."""
    offsets = np.array([each.offset for each in samples], dtype=np.float64)
    return Scores(
        importance=offsets + 0.5,
        estimator="loss",
        model="v2",
        mean_importance=4.0,
        predictions={SERVING: Predictions("v2", (offsets % 10) / 10)},
        embeddings=Embeddings("v1", np.stack([offsets, offsets**2, np.ones(len(samples))], axis=1).astype(np.float32)),
    )


SAMPLES = [sample(number) for number in range(30)]
LABELS = [int(each.actions > 0) for each in SAMPLES]


def sums(chosen: Sequence[int]) -> dict[SketchKey, Block]:
    of = [SAMPLES[index] for index in chosen]
    return sketch(of, [LABELS[index] for index in chosen], scores(of), HOUR_MS, SEGMENTS)


def total(found: dict[SketchKey, Block], feature: str, segment: str = ALL) -> Block:
    blocks = [block for key, block in found.items() if (key.feature, key.segment) == (feature, segment)]
    return sum(blocks[1:], blocks[0])


def test_batches_add_up_to_one_exactly() -> None:
    whole = sums(range(30))
    parts: dict[SketchKey, Block] = {}
    for chosen in (range(7), range(7, 8), range(8, 30)):
        for key, block in sums(chosen).items():
            parts[key] = parts[key] + block if key in parts else block
    assert parts.keys() == whole.keys()
    for key, block in whole.items():
        assert parts[key].count == block.count
        assert np.array_equal(parts[key].sums, block.sums)


def test_every_watched_feature_is_summed_under_the_version_that_has_a_part_in_it() -> None:
    found = sums(range(30))
    assert {key.feature for key in found} == SOURCES.keys()
    versions = {key.feature: key.version for key in found}
    assert {name for name, version in versions.items() if version == "v2"} == {
        name for name, source in SOURCES.items() if source.per_version
    }
    assert versions["embedding"] == "v1"
    assert {key.version for key in found if key.feature == "price"} == {""}


def test_a_sample_is_in_the_block_of_its_own_time_and_in_its_partition() -> None:
    found = {key for key in sums([11]) if key.segment == ALL}
    assert {(key.partition, key.block_ms) for key in found} == {(1, 2 * HOUR_MS)}


def test_means_are_of_label_loss_and_relative_importance() -> None:
    found, of = sums(range(30)), scores(SAMPLES)
    assert (total(found, "click_rate").count, total(found, "click_rate").sums.tolist()) == (30, [8.0])
    assert total(found, "mean_importance").sums[0] == pytest.approx(of.importance.sum() / 4.0)
    assert of.prediction is not None
    assert total(found, "loss").sums[0] == pytest.approx(quality.losses(np.array(LABELS), of.prediction).sum())


def test_what_a_sample_lacks_is_not_counted() -> None:
    found = sums(range(30))
    assert total(found, "price").count == total(found, "category").count == 10
    bare = sketch(SAMPLES[:2], LABELS[:2], Scores.uniform(2), HOUR_MS)
    assert {"prediction", "loss", "embedding"}.isdisjoint(key.feature for key in bare)


def test_some_features_are_summed_by_segment_too() -> None:
    found = sums(range(30))
    by_segment = {key.feature for key in found if key.segment != ALL}
    assert by_segment == set(SEGMENTED)
    for feature in SEGMENTED:
        segments = {key.segment for key in found if key.feature == feature and key.segment != ALL}
        assert "country=France" in segments
        parts = [total(found, feature, segment) for segment in segments]
        assert sum(part.count for part in parts) == 30
        assert np.array_equal(sum(part.sums for part in parts), total(found, feature).sums)


def test_a_mean_importance_of_all_but_zero_gives_finite_sums() -> None:
    tiny = Scores(np.array([1.0, 0.0]), "loss", "v2", mean_importance=5e-324)
    found = sketch(SAMPLES[:2], LABELS[:2], tiny, HOUR_MS)
    assert total(found, "mean_importance").sums.tolist() == [1e6]


def test_nothing_adds_nothing_and_a_missing_label_is_refused() -> None:
    assert sketch([], [], Scores.uniform(0), HOUR_MS) == {}
    with pytest.raises(InvalidInput, match="2 samples, 1 labels and 2 scores"):
        sketch(SAMPLES[:2], [0], Scores.uniform(2), HOUR_MS)
