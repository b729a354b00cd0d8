"""The race in a worker: over real scores, by the name of its policies, from the last layer at each assignment."""

from collections.abc import Sequence

import numpy as np
import pytest

from importance.race.seen import Seen
from importance.sample import Action, Sample
from importance.scores import Scores
from weir.roles.racing import Racing
from weir.settings import Settings
from weir.settings.race import policies, race_name


def _scored(count: int, first: int) -> tuple[Sequence[Sample], Scores]:
    random = np.random.default_rng(first)
    samples = [
        Sample(
            id=f"sample-{first + number}", subject=f"subject {number // 4}", surface="ad", query="lamp", item="item",
            text="a lamp", time_ms=1_000 * (first + number), partition=0, offset=first + number,
            actions=int(Action.CLICK if number % 3 == 0 else Action.NONE), rating=None,
        )
        for number in range(count)
    ]  # fmt: skip
    hidden = random.standard_normal((count, 4)).astype(np.float32)
    importance = random.random(count)
    seen = Seen("v1", np.zeros(5), hidden, {"last_layer_norm": importance}, {"last_layer_norm": 0.5})
    return samples, Scores(importance, "last_layer_norm", "v1", seen=seen)


def test_results_have_the_name_of_the_policies_and_heads_start_again_at_an_assignment() -> None:
    settings = Settings()
    racing, name = Racing(settings), race_name(policies(settings))
    first = racing.observe(*_scored(300, first=0))
    assert {race: standing.results for race, standing in first.items()} == {name: 75}
    assert not first[name].bets.any()
    assert racing.observe(*_scored(300, first=300))[name].bets.any()
    racing.restart(0)
    assert not racing.observe(*_scored(300, first=600))[name].bets.any()


@pytest.mark.parametrize(
    "changed",
    [{"race": "off"}, {"selection": "top_fraction"}, {"noise_guard": "holdout"}],
    ids=lambda each: next(iter(each)),
)
def test_there_is_no_race_where_it_is_off_or_its_policies_could_not_be_compared(changed: dict[str, str]) -> None:
    settings = Settings().model_copy(update=changed)
    assert policies(settings) == ()
    assert Racing(settings).observe(*_scored(10, first=0)) == {}


def test_what_no_version_was_seen_of_is_not_judged() -> None:
    samples, scores = _scored(10, first=0)
    assert Racing(Settings()).observe(samples, Scores(scores.importance, "uniform", "none")) == {}
