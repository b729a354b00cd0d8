"""Whether a candidate may serve."""

import numpy as np
import pytest

from importance.errors import InvalidInput
from trainer.gate import GatePolicy, decide

POLICY = GatePolicy(margin=0.01, alpha=0.05, min_samples=200)


def events(rng: np.random.Generator, count: int, quality: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels, a third of them positive, and a score that separates them by ``quality`` standard deviations."""
    labels = (rng.random(count) < 1 / 3).astype(np.int64)
    return labels, quality * labels + rng.normal(size=count)


def decision(candidate_gain: float, count: int = 2_000, seed: int = 0):
    """Both models share most of their noise, as a model and its fine-tuned copy do."""
    rng = np.random.default_rng(seed)
    labels, serving = events(rng, count, 1.3)
    candidate = serving + candidate_gain * labels + 0.15 * rng.normal(size=count)
    return decide(labels, candidate, serving, np.arange(count) // 3, POLICY)


def test_a_better_candidate_is_promoted() -> None:
    decided = decision(candidate_gain=0.1)
    assert decided.promote
    assert decided.difference > 0
    assert decided.lower_bound < decided.difference


def test_a_clearly_worse_candidate_is_rejected_in_words_and_figures() -> None:
    decided = decision(candidate_gain=-0.3)
    assert not decided.promote
    assert "not above -0.01" in decided.reason
    assert f"{decided.difference:+.4f}" in decided.reason


def test_a_rejected_candidate_that_is_better_on_average_is_explained() -> None:
    rng = np.random.default_rng(5)
    labels, serving = events(rng, 200, 1.3)
    candidate = serving + 1.1 * labels + 1.5 * rng.normal(size=200)
    decided = decide(labels, candidate, serving, np.arange(200) // 3, POLICY)
    assert not decided.promote
    assert decided.difference > 0 > decided.lower_bound
    assert decided.reason.endswith("; too uncertain yet: the next fine-tune continues from it, more holdout narrows it")


def test_the_serving_model_itself_passes() -> None:
    labels, scores = events(np.random.default_rng(0), 500, 1.0)
    decided = decide(labels, scores, scores, np.arange(500), POLICY)
    assert decided.promote
    assert decided.difference == 0


def test_a_candidate_worse_by_the_margin_passes_about_as_often_as_the_level_says() -> None:
    def worse_by_the_margin(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        labels, serving = events(rng, 2_000, 1.3)
        # AUC = Φ(quality / √2): .8210 at 1.3, and .8110 at 1.2468
        candidate = serving - 0.0532 * labels
        return decide(labels, candidate, serving, np.arange(2_000), POLICY).promote

    passed = sum(worse_by_the_margin(seed) for seed in range(300))
    assert passed <= 300 * 0.05 + 4 * np.sqrt(300 * 0.05 * 0.95)  # 15 expected at the margin itself; four deviations


@pytest.mark.parametrize(("count", "positives"), [(199, 66), (400, 1), (400, 399), (0, 0)])
def test_too_small_a_holdout_promotes_nothing(count: int, positives: int) -> None:
    labels = (np.arange(count) < positives).astype(np.int64)
    scores = np.linspace(0, 1, count)
    decided = decide(labels, scores, scores, np.arange(count), POLICY)
    assert not decided.promote
    assert f"{count} samples" in decided.reason
    assert np.isnan(decided.difference)


def test_events_of_few_subjects_are_less_evidence() -> None:
    rng = np.random.default_rng(0)
    labels, serving = events(rng, 2_000, 1.3)
    subjects = np.arange(2_000) // 40
    swing = 0.4 * rng.normal(size=50)[subjects] * labels  # the candidate is good or bad for a subject's events alike
    together = decide(labels, serving + swing, serving, subjects, POLICY)
    apart = decide(labels, serving + swing, serving, np.arange(2_000), POLICY)
    assert together.difference - together.lower_bound > 1.5 * (apart.difference - apart.lower_bound)


@pytest.mark.parametrize("wrong", [{"margin": -0.1}, {"margin": float("nan")}, {"alpha": 0.0}, {"min_samples": 1}])
def test_a_gate_that_decides_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        GatePolicy(**wrong)
