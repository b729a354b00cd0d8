"""Results by subject: one sign each, by the order of its own impressions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.canary import is_canary
from importance.sample import Action, Sample, labels
from importance.scores import BASELINE, MIRROR, SERVING, SHADOW, Predictions, Scores
from importance.shadow import Pair, gains, numbers, of_share

SALT = "salt"
SHADOWED = Pair(SHADOW, "v2", "v1")


def shown(*rows: tuple[str, int]) -> list[Sample]:
    """An impression of each subject and label."""
    return [
        Sample(str(i), subject, "search", "", "mug", "", 0, 0, i, actions=int(Action.CLICK if label else Action.NONE))
        for i, (subject, label) in enumerate(rows)
    ]


def scored(serving: list[float], candidate: list[float], **further: list[float]) -> Scores:
    given = {SERVING: ("v1", serving), SHADOW: ("v2", candidate), **{name: ("v0", v) for name, v in further.items()}}
    return Scores(
        np.ones(len(serving)),
        "uniform",
        "v1",
        predictions={k: Predictions(v, np.array(p)) for k, (v, p) in given.items()},
    )


def compared(samples: list[Sample], scores: Scores) -> dict[Pair, dict[int, int]]:
    return gains(samples, labels(samples), scores, SALT)


def test_a_subject_wins_loses_or_ties_by_the_order_of_its_own_impressions() -> None:
    samples = shown(("ann", 1), ("bob", 1), ("ann", 0), ("cy", 1), ("bob", 0), ("cy", 0), ("dee", 1), ("eve", 0))
    found = compared(
        samples, scored([0.2, 0.9, 0.8, 0.9, 0.1, 0.1, 0.5, 0.5], [0.8, 0.1, 0.2, 0.6, 0.9, 0.5, 0.1, 0.9])
    )
    ann, bob, cy = numbers(["ann", "bob", "cy"], SALT)
    assert found == {SHADOWED: {ann: 2, bob: -2, cy: 0}}  # dee and eve show one label only


@given(st.integers(0, 10**6))
def test_only_the_order_counts_not_the_calibration(seed: int) -> None:
    random = np.random.default_rng(seed)
    samples = shown(*((f"s{each}", int(random.integers(2))) for each in random.integers(0, 4, 30)))
    serving, candidate = random.random((2, 30))
    assert compared(samples, scored(serving.tolist(), candidate.tolist())) == compared(
        samples, scored((serving**3).tolist(), (0.01 * candidate).tolist())
    )


def test_subjects_that_are_not_predicted_and_versions_that_serve_give_nothing() -> None:
    samples = shown(("ann", 1), ("ann", 0), ("bob", 1), ("bob", 0))
    absent = float("nan")
    scores = scored(
        [0.1, 0.2, 0.1, 0.2], [absent, absent, 0.9, 0.1], **{MIRROR: [0.9, 0.1, 0.9, 0.1], BASELINE: [0.5] * 4}
    )
    ann, bob = numbers(["ann", "bob"], SALT)
    assert compared(samples, scores) == {SHADOWED: {bob: 2}, Pair(MIRROR, "v0", "v1"): {ann: 2, bob: 2}}
    same = Scores(np.ones(4), "uniform", "v2", predictions=scores.predictions)
    assert [pair.predictor for pair in compared(samples, same)] == [MIRROR]


def test_subjects_whose_lists_the_candidate_ordered_give_nothing() -> None:
    samples = shown(*((f"s{i % 50}", i // 50) for i in range(100)))
    scores = scored([0.5] * 100, [0.5] * 100)
    found = gains(samples, labels(samples), scores, SALT, canary_share=0.4)
    own = [f"s{i}" for i in range(50) if not is_canary(f"s{i}", 0.4, SALT)]
    assert 0 < len(own) < 50
    assert list(found[SHADOWED]) == numbers(own, SALT)


def test_a_share_of_subjects_is_chosen_whole_and_independently_of_their_number() -> None:
    samples = shown(*((f"s{i % 500}", 0) for i in range(1_000)))
    chosen = of_share(samples, 0.25, SALT)
    assert (chosen[:500] == chosen[500:]).all()
    assert 0.18 < chosen.mean() < 0.32
    assert of_share(samples, 1.0, SALT).all()
    low = np.array(numbers([sample.subject for sample in samples[:500]], SALT)) < 2**52 * 0.25
    assert 0.03 < (chosen[:500] & low).mean() < 0.1


def test_a_number_is_the_same_in_every_process() -> None:
    assert numbers(["ann"], SALT) == [pytest.approx(numbers(["ann", "bob"], SALT)[0], abs=0)]
    assert numbers(["ann"], "other") != numbers(["ann"], SALT)
