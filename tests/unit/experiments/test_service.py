"""The service's loop in arrays: as the reservoir draws, and a stream on which selection hurts for a while."""

import numpy as np

from experiments.hurting import Parts, hurting_stream
from experiments.service import ROUND, Followed, Round, Service, Stratum, blocks, top_weights
from importance.control_arm import fallen_back
from importance.race.policy import Policy
from trainer.device import use_threads

POLICY = Policy("loss", 0.25, 14 * 86_400.0)
PARTS = Parts()


def test_a_stratum_holds_the_largest_keys_whatever_the_order() -> None:
    random = np.random.default_rng(1)
    weight, draws = random.normal(size=500), 1 - random.random(500)
    whole, parts = Stratum(50), Stratum(50)
    whole.offer(np.arange(500), weight, draws)
    for index in np.array_split(random.permutation(500), 9):
        parts.offer(index, weight[index], draws[index])
    assert set(whole.index) == set(parts.index)
    assert whole.kappa == parts.kappa == np.sort(weight - np.log(draws))[-51]


def test_selection_that_hurts_is_replaced_by_uniform_samples_and_returns() -> None:
    use_threads()
    stream, learner = hurting_stream(0, PARTS)
    active: list[bool] = []

    def follow(seen: Round) -> Followed:
        assert sum(len(block.labels) for block in blocks(seen.block).values()) == len(seen.block.labels)
        active.append(fallen_back(seen.results))
        return Followed(POLICY, uniform_only=active[-1], control=True)

    Service(stream, learner, ("loss",), 14 * 86_400.0, 0, top_weights).run(follow)
    wrong = PARTS.before // ROUND, (PARTS.before + PARTS.noisy) // ROUND
    assert not any(active[: wrong[0] + 3])  # while labels are right
    assert any(active[wrong[0] : wrong[1] + 3])
    assert not all(active[wrong[1] + 1 :])
