"""Give the blocks of a stream to the tests of its features, in order. Pure: states in, states and alarms out.

A test of a feature that a model version has a part in starts its reference again at the first block of another version,
so at each promotion and rollback; a block in which two versions scored is left out. Other features are never restarted
but by an alarm, after which a detector starts again by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from importance.drift.block import Block
from importance.drift.detector import State, Verdict, read_state, write_state
from importance.drift.discoveries import discoveries
from importance.drift.registry import Monitor
from importance.drift.sketch_key import ALL
from importance.drift.two_sample import TwoSample

MergedBlocks = Mapping[int, Mapping[str, Mapping[tuple[str, str], Block]]]
"""Start of a block in event time → version → (feature, segment) → sums over all partitions; in order of time."""


@dataclass(frozen=True, slots=True)
class DriftState:
    """Where the test of a feature is in one segment; ``state`` is its detector's, encoded, empty at the start.

    ``detector`` is what made the state, and ``version`` the model version of its blocks: another one starts again. The
    last check's ``statistic``, ``threshold`` and ``p_value`` are None before it; ``checked_ms`` is the start of the
    block that it checked, in event time. ``alarms`` were given ever.
    """

    test: str
    feature: str
    segment: str
    detector: str
    version: str
    state: bytes = b""
    statistic: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    checked_ms: int | None = None
    alarms: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """A test found that its feature changed, at the block of event time that starts at ``block_ms``."""

    block_ms: int
    test: str
    feature: str
    segment: str
    version: str
    statistic: float
    threshold: float
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Where every test is after the blocks, and the alarms on the way."""

    states: Sequence[DriftState]
    alarms: Sequence[Alarm]


def evaluate(monitors: Sequence[Monitor], states: Sequence[DriftState], blocks: MergedBlocks) -> Evaluation:
    """Return the states after ``blocks``, and the alarms in order. A monitor that is not listed keeps its state.

    Of the segments that one check compares, only discoveries are alarms: see `importance.drift.discoveries`.
    """
    held = {(state.test, state.feature, state.segment): state for state in states}
    alarms: list[Alarm] = []
    for block_ms, by_version in blocks.items():
        seen = _of_one_version(by_version)
        for monitor in monitors:
            steps = [
                _step(monitor, held.get((monitor.test, monitor.feature, segment)), segment, version, block_ms, block)
                for segment, version, block in seen.get(monitor.feature, ())
            ]
            for step in _discovered(monitor, steps):
                state = step.result(block_ms)
                held[state.test, state.feature, state.segment] = state
                if step.verdict is not None and step.verdict.alarm:
                    alarms.append(_alarm(state, step.verdict, block_ms))
    return Evaluation(list(held.values()), alarms)


@dataclass(frozen=True, slots=True)
class _Step:
    """One block given to one test: the states of its detector before and after, and the verdict."""

    known: DriftState
    block: Block
    before: Any  # of the detector's own type
    after: State
    verdict: Verdict | None

    def result(self, block_ms: int) -> DriftState:
        """Return where the test is now."""
        known = replace(self.known, state=write_state(self.after))
        if self.verdict is None:
            return known
        return replace(
            known,
            statistic=self.verdict.statistic,
            threshold=self.verdict.threshold,
            p_value=self.verdict.p_value,
            checked_ms=block_ms,
            alarms=known.alarms + self.verdict.alarm,
        )


def _discovered(monitor: Monitor, steps: Sequence[_Step]) -> list[_Step]:
    """Withdraw the alarms of segments that are no discoveries among them; their references go on."""
    detector = monitor.detector
    if not isinstance(detector, TwoSample):
        return list(steps)
    p_values = {
        step.known.segment: step.verdict.p_value
        for step in steps
        if step.verdict is not None and step.verdict.p_value is not None and step.known.segment != ALL
    }
    named = {ALL, *discoveries(p_values, detector.alpha)}
    return [
        replace(step, after=detector.advance(step.before, step.block)[0], verdict=replace(step.verdict, alarm=False))
        if step.verdict is not None and step.verdict.alarm and step.known.segment not in named
        else step
        for step in steps
    ]


def _of_one_version(
    by_version: Mapping[str, Mapping[tuple[str, str], Block]],
) -> dict[str, list[tuple[str, str, Block]]]:
    """Feature → (segment, version, block); without what two versions have a part in."""
    found: dict[tuple[str, str], list[tuple[str, Block]]] = {}
    for version, sums in by_version.items():
        for key, block in sums.items():
            found.setdefault(key, []).append((version, block))
    seen: dict[str, list[tuple[str, str, Block]]] = {}
    for (feature, segment), candidates in sorted(found.items()):
        if len(candidates) == 1:
            seen.setdefault(feature, []).append((segment, *candidates[0]))
    return seen


def _step(
    monitor: Monitor, before: DriftState | None, segment: str, version: str, block_ms: int, block: Block
) -> _Step:
    """Give one block to one test."""
    made_by = monitor.fingerprint
    known = before or DriftState(monitor.test, monitor.feature, segment, made_by, version)
    if (known.detector, known.version) != (made_by, version):
        known = DriftState(monitor.test, monitor.feature, segment, made_by, version, alarms=known.alarms)
    state = read_state(monitor.detector, known.state) if known.state else monitor.detector.start()
    after, verdict = monitor.detector.update(state, block, monitor.seed(block_ms, segment))
    return _Step(known, block, state, after, verdict)


def _alarm(state: DriftState, verdict: Verdict, block_ms: int) -> Alarm:
    return Alarm(
        block_ms,
        state.test,
        state.feature,
        state.segment,
        state.version,
        verdict.statistic,
        verdict.threshold,
        verdict.p_value,
    )
