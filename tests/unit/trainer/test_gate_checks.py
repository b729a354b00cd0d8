"""What the gate checks beyond the overall difference: slices that refuse, notes, and costs."""

from itertools import count

import numpy as np
import pytest
from sklearn.metrics import f1_score, ndcg_score

from importance.sample import Sample
from trainer.gate import Decision, GatePolicy, decide
from trainer.gate_check import Check
from trainer.gate_costs import costs, parameter_bytes
from trainer.gate_notes import ndcg, notes
from trainer.gate_slices import MAX_VALUES, slices_of
from trainer.version_directory import Model

POLICY = GatePolicy(margin=0.01, alpha=0.05, min_samples=200)
SIZE = 2_000


def two_models(seed: int, size: int = SIZE, spread: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and the scores of two models that are equally good, and share most of their noise."""
    random = np.random.default_rng(seed)
    labels = (random.random(size) < 1 / 3).astype(np.int64)
    common = 1.3 * labels + random.normal(size=size)
    candidate, serving = common + spread * random.normal(size=(2, size))
    return labels, candidate, serving


def judged_by_half(harm: float, seed: int = 0) -> Decision:
    """A candidate that is better everywhere but in one half of the samples, where it is worse by ``harm``."""
    labels, candidate, serving = two_models(seed)
    half = np.arange(SIZE) % 2 == 0
    candidate = candidate + 0.3 * labels - (0.3 + harm) * labels * half
    return decide(
        labels, candidate, serving, np.arange(SIZE) // 4, POLICY, {"surface=ad": half, "surface=search": ~half}
    )


def test_a_slice_that_is_significantly_worse_refuses_a_candidate_that_passes_overall() -> None:
    decision = judged_by_half(harm=0.15)
    passed = {check.name: check.passed for check in decision.checks}
    assert passed == {"overall": True, "surface=ad": False, "surface=search": True}
    assert not decision.promote
    assert "refused by surface=ad: AUC" in decision.reason


def test_a_slice_that_may_be_worse_refuses_nothing() -> None:
    decision = judged_by_half(harm=0.02)
    assert decision.promote
    assert all(check.passed for check in decision.checks)
    assert decision.reason == decision.checks[0].reason


def test_equal_models_are_rarely_refused_by_any_of_many_small_slices() -> None:
    """At the margin itself one in twenty at most would be; equal models are better than that."""
    refused = 0
    for seed in range(200):
        labels, candidate, serving = two_models(seed, 1_200, spread=0.3)
        slices = {f"category={value}": np.arange(1_200) % 12 == value for value in range(12)}
        checks = decide(labels, candidate, serving, np.arange(1_200) // 3, POLICY, slices).checks[1:]
        refused += any(check.refuses for check in checks)
    assert len(checks) == 12
    assert refused <= 10


def test_a_slice_of_too_few_samples_decides_nothing() -> None:
    labels, _, serving = two_models(1)
    few = np.arange(SIZE) < 40
    decision = decide(
        labels, np.where(few, -serving, serving + 0.2 * labels), serving, np.arange(SIZE), POLICY, {"a": few}
    )
    assert [check.name for check in decision.checks] == ["overall"]


def sample(number: int, **fields: object) -> Sample:
    given = {"surface": "search", "item": "mug", "attributes": {}} | fields
    return Sample(id=str(number), subject="s", query="", text="", time_ms=0, partition=0, offset=number, **given)


def test_slices_are_surfaces_frequent_values_and_new_items() -> None:
    samples = [sample(0, surface="ad", attributes={"category": "glass"}), sample(1, item="fan"), sample(2)]
    found = {name: inside.tolist() for name, inside in slices_of(samples, {"mug"}, "category").items()}
    assert found == {
        "surface=ad": [True, False, False],
        "surface=search": [False, True, True],
        "category=glass": [True, False, False],
        "new items": [False, True, False],
    }


def test_only_the_most_frequent_values_are_slices() -> None:
    samples = [sample(i, attributes={"shop": i % 50 if i < 100 else 0}) for i in range(200)]
    slices = slices_of(samples, {"mug"}, "shop")
    assert len(slices) == MAX_VALUES + 1
    assert slices["shop=0"].sum() == 102


def test_ndcg_is_that_of_another_library() -> None:
    random = np.random.default_rng(3)
    lists = np.sort(random.integers(0, 40, 600))
    positive, scores = random.random(600) < 0.2, random.random(600)
    expected = [
        ndcg_score([positive[lists == each].astype(float)], [scores[lists == each]], k=10)
        for each in range(40)
        if positive[lists == each].any() and (lists == each).sum() > 1
    ]
    shuffled = random.permutation(600)
    assert ndcg(positive[shuffled], scores[shuffled], lists[shuffled]) == pytest.approx(expected)


def test_notes_hold_the_statistics_of_both_models_and_repeat_with_their_seed() -> None:
    labels, candidate, serving = (column[:600] for column in two_models(4))
    first, second = (1 / (1 + np.exp(-each)) for each in (candidate, serving))
    subjects, lists = np.arange(600) // 6, np.arange(600) // 3

    def noted(candidate: np.ndarray) -> dict[str, Check]:
        found = notes(labels, candidate, second, subjects, lists, np.random.default_rng(0))
        return {check.name: check for check in found}

    checks = noted(first)
    assert list(checks) == ["accuracy (McNemar)", "F1", "NDCG@10", "log-loss", "calibration error"]
    assert checks["F1"].statistics["candidate"] == pytest.approx(f1_score(labels, first >= 0.5))
    assert checks == noted(first)
    assert not any(check.refuses for check in checks.values())
    inverted = noted(1 - first)
    assert not any(check.passed for check in inverted.values())
    assert checks["log-loss"].stored()["statistics"].keys() == {"candidate", "serving", "gain", "low", "high"}


def test_a_larger_or_slower_candidate_is_refused_where_that_is_bounded(untrained: Model) -> None:
    times = count()
    passes: list[Model] = []

    def clock() -> float:
        return float(next(times))

    policy = GatePolicy(max_size_ratio=0.5, max_latency_ratio=1.5)
    size, latency = costs(untrained, untrained, passes.append, policy, clock)
    assert size.refuses
    assert size.statistics["candidate"] == parameter_bytes(untrained) > 0
    assert latency.passed
    assert latency.statistics["ratio"] == 1
    assert len(passes) == 14
    assert costs(untrained, untrained, passes.append, GatePolicy(max_size_ratio=0)) == ()
