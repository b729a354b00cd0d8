import numpy as np
import pytest

from experiments.learner import STATE_NEEDS, Learners
from importance import estimators
from tests.unit.experiments.shop import shop

ROWS = np.arange(200)
LABELS = shop().labels[ROWS]
ONES = np.ones(len(ROWS))


def test_the_same_seed_makes_the_same_learner_and_another_one_does_not(learners: Learners) -> None:
    first, again, other = (learners.fresh(seed) for seed in (3, 3, 4))
    for learner in (first, again, other):
        assert learner.learn(ROWS, LABELS, ONES, 1e-3) == 4  # 200 rows, 64 a step
    assert np.array_equal(first.predict(ROWS), again.predict(ROWS))
    assert not np.array_equal(first.predict(ROWS), other.predict(ROWS))


def test_a_clone_goes_on_alike_and_on_its_own(learners: Learners) -> None:
    learner = learners.fresh(0)
    learner.learn(ROWS, LABELS, ONES, 1e-3)
    clone, before = learner.clone(), learner.predict(ROWS)
    clone.learn(ROWS, LABELS, ONES, 1e-3)
    assert np.array_equal(learner.predict(ROWS), before)
    learner.learn(ROWS, LABELS, ONES, 1e-3)
    assert np.array_equal(learner.predict(ROWS), clone.predict(ROWS))


def test_it_learns(learners: Learners) -> None:
    learner = learners.fresh(0)
    before = np.abs(learner.predict(ROWS) - LABELS).mean()
    for _ in range(15):
        learner.learn(ROWS, LABELS, ONES, 3e-3)
    assert np.abs(learner.predict(ROWS) - LABELS).mean() < before - 0.1


def test_rows_of_weight_zero_teach_nothing(learners: Learners) -> None:
    first, second = learners.fresh(0), learners.fresh(0)
    half = np.where(ROWS % 2 == 0, 2.0, 0.0)
    first.learn(ROWS, LABELS, half, 1e-3)
    second.learn(ROWS, np.where(half == 0, 1 - LABELS, LABELS), half, 1e-3)
    assert np.allclose(first.predict(ROWS), second.predict(ROWS), atol=1e-6)


def test_it_serves_every_estimator_whose_needs_it_names(learners: Learners) -> None:
    learner = learners.fresh(0)
    learner.learn(ROWS, LABELS, ONES, 1e-3)
    learner.update_state(ROWS[:50], LABELS[:50], STATE_NEEDS)
    able = [estimators.get(name) for name in estimators.names() if estimators.get(name).needs <= learners.provides]
    assert {"uniform", "last_layer_norm", "gradient_output", "gradient_norm", "rho"} <= {each.name for each in able}
    together = learner.score(ROWS, LABELS, tuple(able))
    for estimator in able:
        alone = learner.score(ROWS, LABELS, (estimator,))[estimator.name]
        assert alone.shape == ROWS.shape
        assert bool(np.all(np.isfinite(alone) & (alone >= 0)))
        assert np.allclose(alone, together[estimator.name], rtol=1e-4, atol=1e-6)


def test_scoring_leaves_the_learner_as_it_was(learners: Learners) -> None:
    scored, plain = learners.fresh(0), learners.fresh(0)
    scored.learn(ROWS, LABELS, ONES, 1e-3)
    plain.learn(ROWS, LABELS, ONES, 1e-3)
    scored.update_state(ROWS[:50], LABELS[:50], STATE_NEEDS)
    scored.score(ROWS, LABELS, (estimators.get("gradient_output"), estimators.get("rho")))
    for learner in (scored, plain):
        learner.learn(ROWS, LABELS, ONES, 1e-3)
    assert np.array_equal(scored.predict(ROWS), plain.predict(ROWS))


@pytest.mark.parametrize("needed", ["last_layer_norm", "rho", "gradient_output"])
def test_scores_belong_to_their_rows_in_whatever_order_they_are_asked_for(learners: Learners, needed: str) -> None:
    learner = learners.fresh(0)
    learner.update_state(ROWS[:50], LABELS[:50], STATE_NEEDS)
    order = np.random.default_rng(0).permutation(len(ROWS))
    straight = learner.score(ROWS, LABELS, (estimators.get(needed),))[needed]
    shuffled = learner.score(ROWS[order], LABELS[order], (estimators.get(needed),))[needed]
    assert np.allclose(straight[order], shuffled, rtol=1e-4, atol=1e-6)
