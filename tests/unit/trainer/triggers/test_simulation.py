"""When a policy would have started runs over a recorded stream."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.triggers import LearningState, TriggerPolicy
from trainer.triggers.simulation import Decided, Firing, Ran, simulate

START = LearningState(
    samples=0, samples_at_last=0, trainable=500, last_started=None, last_ended=None, asked=False, frozen=False,
    run_seconds=20.0,
)  # fmt: skip
NEVER = 1_000_000_000
POLICY = TriggerPolicy(after_samples=NEVER, after_seconds=NEVER, cooldown_seconds=0, min_samples=1)


def stream(count: int = 60, seconds: float = 10.0, **changes: object) -> list[Decided]:
    """A hundred samples of importance 150 every ten seconds."""
    return [
        Decided(seconds * step, replace(START, samples=100 * step, mass=150.0 * step, **changes), None)
        for step in range(count)
    ]


def runs(policy: TriggerPolicy, record: Sequence[Decided], live: Sequence[Ran] = ()) -> list[Firing]:
    return list(simulate(record, live, lambda _failed: policy))


def test_each_trigger_fires_where_its_own_count_is_reached() -> None:
    by_amount = runs(replace(POLICY, after_samples=1_000), stream())
    assert [(run.time, run.trigger, run.fresh) for run in by_amount] == [
        (100.0, "amount", 1_000), (200.0, "amount", 1_000), (300.0, "amount", 1_000), (400.0, "amount", 1_000),
        (500.0, "amount", 1_000),
    ]  # fmt: skip
    assert [run.time for run in runs(replace(POLICY, after_mass=3_000.0), stream())] == [200.0, 400.0]
    by_cost = runs(replace(POLICY, cost_rate=500.0), stream())  # 15 t²/2 + what a step adds, against 10,000
    assert {run.trigger for run in by_cost} == {"cost"}
    assert all(run.waited >= 10_000 for run in by_cost)


def test_a_combination_starts_at_the_first_of_its_triggers_under_one_cool_down() -> None:
    both = replace(POLICY, after_samples=1_500, after_mass=1_500.0, cooldown_seconds=150)
    found = runs(both, stream())
    assert [run.time for run in found] == [100.0, 270.0, 440.0]  # 100 + 20 of training + 150
    assert {run.trigger for run in found} == {"amount", "mass"}


def test_a_live_run_keeps_its_length_and_a_failed_one_leaves_its_samples_new() -> None:
    policy = replace(POLICY, after_samples=1_000)
    live = [Ran(100.5, 155.0, learned=False), Ran(160.5, 170.0, learned=True)]
    found = runs(policy, stream(20), live)
    assert [(run.time, run.fresh, round(run.seconds, 1)) for run in found] == [
        (100.0, 1_000, 54.5), (160.0, 1_600, 9.5),
    ]  # fmt: skip


def test_a_request_is_fulfilled_once() -> None:
    record = [Decided(each.time, replace(each.state, asked=100 <= each.time <= 300), None) for each in stream()]
    assert [(run.time, run.trigger) for run in runs(POLICY, record)] == [(100.0, "operator")]


def test_what_holds_all_triggers_back_holds_them_in_the_simulation() -> None:
    policy = replace(POLICY, after_samples=1_000)
    assert not runs(policy, stream(frozen=True))
    assert not runs(policy, stream(trainable=0))
    assert not runs(policy, [])


@given(
    st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 500), st.floats(0, 3)), min_size=1, max_size=60),
    st.integers(1, 2_000), st.floats(1, 5_000), st.floats(0, 200),
)  # fmt: skip
def test_every_sample_before_the_last_run_belongs_to_exactly_one_run(
    steps: list[tuple[float, int, float]], amount: int, mass: float, cooldown: float
) -> None:
    time, samples, total, record = 0.0, 0, 0.0, []
    for seconds, count, importance in steps:
        time, samples, total = time + seconds, samples + count, total + count * importance
        record.append(Decided(time, replace(START, samples=samples, mass=total), None))
    found = runs(replace(POLICY, after_samples=amount, after_mass=mass, cooldown_seconds=cooldown), record)
    at = {each.time: each.state.samples for each in record}
    assert sum(run.fresh for run in found) == (at[found[-1].time] if found else 0)
    gaps = [later.time - earlier.time - earlier.seconds for earlier, later in pairwise(found)]
    assert all(gap >= cooldown - 1e-6 for gap in gaps)
    assert all(run.fresh >= amount or run.fresh_mass >= mass for run in found)


def test_the_waiting_is_the_area_under_the_new_mass() -> None:
    found = runs(replace(POLICY, after_samples=300), stream(8, seconds=1.0))
    assert found[0].waited == pytest.approx(0 + 150 + 300)
