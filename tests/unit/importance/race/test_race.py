"""The race of policies: evidence valid at every look, in any order; heads that judge before they learn."""

from dataclasses import replace

import numpy as np
import pytest

from importance.errors import InvalidInput
from importance.race.choice import ERA_RESULTS, Choice, choose
from importance.race.heads import Heads
from importance.race.policy import Policy, rivals
from importance.race.seen import Seen
from importance.race.standing import BOUND, Standing
from importance.race.track import BATCH, BUDGET, Block, Track, race_draws
from importance.selection import proportional

POLICIES = rivals(Policy("last_layer_norm", 0.25, 14 * 86_400.0))
K = len(POLICIES)


def _brier(random: np.random.Generator, results: int, gain: float = 0.0, policies: int = 2) -> np.ndarray:  # type: ignore[type-arg]
    """Brier scores of which that of the last policy is better by ``gain`` on average."""
    scores = 0.2 + random.normal(0, 0.02, (results, policies))
    scores[:, -1] -= gain
    return scores


def test_uniform_and_what_is_configured_come_first_and_no_policy_twice() -> None:
    assert POLICIES[0].is_uniform
    assert str(POLICIES[1]) == "last_layer_norm, floor 0.25, half-life 14 d"
    assert len(set(POLICIES)) == K
    assert {policy.estimator for policy in rivals(Policy("uniform", 1.0, None))} >= {"uniform", "loss"}


def test_a_policy_that_admission_would_refuse_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown estimator"):
        Policy("lose", 0.25, None)
    with pytest.raises(InvalidInput, match="must be above 0, or none"):
        Policy("loss", 0.25, 0.0)


def test_sums_do_not_depend_on_who_saw_which_result() -> None:
    random = np.random.default_rng(1)
    scores = _brier(random, 400, 0.01, policies=4)
    whole, parts = Standing.of(scores), Standing.nothing(4)
    for part in np.array_split(scores[random.permutation(400)], 7):
        parts += Standing.of(part)
    assert parts.results == whole.results
    assert np.allclose(parts.log_e, whole.log_e)
    assert np.allclose(whole.since(Standing.of(scores[:100])).log_e, Standing.of(scores[100:]).log_e)


def test_equal_policies_are_rarely_told_apart_however_often_one_looks() -> None:
    random, looks = np.random.default_rng(2), 0
    for _ in range(200):
        standing = Standing.nothing(2)
        wrong = False
        for _ in range(40):
            standing += Standing.of(_brier(random, 25))
            wrong |= bool(standing.log_e[1, 0] >= np.log(20))
        looks += wrong
    assert looks <= 20  # of 200 at a level of 5 %: 10 are expected at most; 21 or more have a chance of 1 in 1,000


def test_a_better_policy_is_found_and_its_gain_lies_in_the_interval() -> None:
    standing = Standing.of(_brier(np.random.default_rng(3), 3_000, gain=0.004))
    gain = standing.gain(1)
    assert standing.log_e[1, 0] > np.log(20) > standing.log_e[0, 1]
    assert gain.low < 0.004 < gain.high


def test_a_result_beyond_the_bound_counts_as_the_bound() -> None:
    assert Standing.of(np.array([[1.0, 0.0]])).gains[1] == 1.0
    assert Standing.of(np.array([[BOUND / 2, 0.0]])).gains[1] == pytest.approx(0.5)


def test_a_switch_needs_decisive_evidence_and_the_way_back_needs_it_too() -> None:
    random = np.random.default_rng(4)
    choice, standing = Choice(0, Standing.nothing(2)), Standing.nothing(2)
    standing += Standing.of(_brier(random, 200, gain=0.001))
    assert choose(choice, standing).policy == 0
    standing += Standing.of(_brier(random, 6_000, gain=0.005))
    choice = choose(choice, standing)
    assert choice.policy == 1
    standing += Standing.of(_brier(random, 200, gain=-0.001))
    assert choose(choice, standing).policy == 1
    standing += Standing.of(_brier(random, 6_000, gain=-0.005))
    assert choose(choice, standing).policy == 0


def test_a_long_past_does_not_outweigh_a_stream_that_has_changed() -> None:
    random = np.random.default_rng(5)
    choice, standing = Choice(0, Standing.nothing(2)), Standing.nothing(2)
    for _ in range(3):
        standing += Standing.of(_brier(random, ERA_RESULTS, gain=-0.01))
        choice = choose(choice, standing)
    standing += Standing.of(_brier(random, 3_000, gain=0.01))
    assert choose(choice, standing).policy == 1


def _stream(random: np.random.Generator, count: int, width: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    hidden = random.standard_normal((count, width))
    direction = np.array([2.0, -1.0, 0.5, 0.0, 0.0])
    labels = (random.random(count) < 1 / (1 + np.exp(-hidden @ direction))).astype(np.float64)
    return hidden, labels, direction


def test_a_head_finds_the_minimum_that_batch_logistic_regression_finds() -> None:
    random = np.random.default_rng(6)
    hidden, labels, direction = _stream(random, 6_000)
    heads = Heads(np.zeros(6), np.array([np.inf]), memory=10.0)
    for start in range(0, 6_000, BATCH):
        part = slice(start, start + BATCH)
        heads.learn(hidden[part], labels[part], np.ones((BATCH, 1)), float(start))
    best = 1 / (1 + np.exp(-hidden @ direction))
    found = heads.predict(hidden)[:, 0]
    assert np.abs(found - best).mean() < 0.02


def test_a_short_half_life_follows_a_task_that_turns() -> None:
    random = np.random.default_rng(7)
    heads = Heads(np.zeros(6), np.array([100.0, np.inf]), memory=10.0)
    for start in range(80):
        hidden, labels, _ = _stream(random, BATCH)
        heads.learn(hidden, labels if start < 40 else 1 - labels, np.ones((BATCH, 2)), 50.0 * start)
    hidden, labels, _ = _stream(random, 2_000)
    short, never = ((heads.predict(hidden) - (1 - labels)[:, None]) ** 2).mean(axis=0)
    assert short < never - 0.01


def _block(random: np.random.Generator, count: int, version: str = "v1", first: int = 0) -> Block:
    hidden, labels, _ = _stream(random, count)
    ids = [f"sample-{first + number}" for number in range(count)]
    scores = {"last_layer_norm": random.random(count), "loss": random.random(count), "entropy": random.random(count)}
    seen = Seen(version, np.zeros(6), hidden.astype(np.float32), scores, dict.fromkeys(scores, 0.5))
    return Block(np.arange(count) // 5, labels.astype(np.int64), np.full(count, first), race_draws(ids, "salt"), seen)


def test_heads_judge_a_block_before_they_learn_from_it() -> None:
    track = Track(POLICIES)
    first = track.observe(_block(np.random.default_rng(8), BATCH))
    assert first.results == BATCH // 5
    assert not first.bets.any()  # all heads were the version's own
    assert track.observe(_block(np.random.default_rng(9), BATCH, first=BATCH)).bets.any()


@pytest.mark.parametrize("restarted", ["by a new version", "by hand"])
def test_heads_start_again_from_the_last_layer(restarted: str) -> None:
    track, random = Track(POLICIES), np.random.default_rng(10)
    track.observe(_block(random, BATCH))
    if restarted == "by hand":
        track.restart(0)
    version = "v2" if restarted == "by a new version" else "v1"
    assert not track.observe(_block(random, BATCH, version, first=BATCH)).bets.any()


def test_every_policy_estimates_the_same_loss_within_its_budget() -> None:
    count = 100_000
    draws = race_draws([f"sample-{number}" for number in range(count)], "salt")
    scores = np.random.default_rng(11).lognormal(0, 1, count)
    for policy in POLICIES:
        weight = proportional(scores, float(scores.mean()), policy.floor)
        chance = np.minimum(1.0, BUDGET * weight)
        chosen = draws < chance
        assert chosen.mean() <= BUDGET * 1.03
        assert (BUDGET / chance[chosen]).sum() / count == pytest.approx(BUDGET, rel=0.03)


def test_an_estimator_that_a_version_cannot_serve_counts_every_sample_alike() -> None:
    block = _block(np.random.default_rng(12), 10)
    bare = replace(block.seen, scores={}, means={})
    assert (bare.weights(POLICIES) == 1).all()
    assert Track(POLICIES).observe(_block(np.random.default_rng(13), 0)).results == 0


def test_small_blocks_are_judged_together_with_the_same_results_as_one_call() -> None:
    track, whole, random = Track(POLICIES), Track(POLICIES), np.random.default_rng(14)
    first = _block(random, BATCH)
    track.observe(first)
    whole.observe(first)
    block = _block(random, BATCH, first=BATCH)
    parts = [track.observe(_slice(block, slice(start, start + 50))) for start in range(0, BATCH, 50)]
    assert [part.results for part in parts] == [0] * (len(parts) - 1) + [BATCH // 5]
    assert np.allclose(parts[-1].bets, whole.observe(block).bets)


def test_results_are_of_one_partition_and_none_is_repeated_or_lost_when_another_one_is_assigned() -> None:
    track, random = Track(POLICIES), np.random.default_rng(15)
    half = BATCH // 2
    first, second = (_block(random, half, first=at * half) for at in range(2))
    assert track.observe(first).results == 0
    assert track.observe(replace(second, partition=1)).results == 0
    track.restart(1)
    assert track.observe(replace(second, partition=1)).results == 0  # read again
    assert track.observe(second).results == BATCH // 5


def _slice(block: Block, at: slice) -> Block:
    scores = {name: values[at] for name, values in block.seen.scores.items()}
    seen = replace(block.seen, hidden=block.seen.hidden[at], scores=scores)
    return Block(block.subjects[at], block.labels[at], block.times_ms[at], block.draws[at], seen)
