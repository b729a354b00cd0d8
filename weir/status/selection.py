"""Whether selection helps, by the control arms, and what fine-tunes use: for the api and the commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from importance.control_arm import advantage, fallen_back
from importance.evidence import Interval
from importance.race.choice import threshold
from importance.race.policy import CONFIGURED, Policy
from storage.control_arm import ControlArm, Recorded
from storage.engine import Engine
from storage.race import Races
from weir.settings import Settings
from weir.settings.race import policies, race_name


@dataclass(frozen=True, slots=True)
class Runner:
    """A policy in the race, over ``results`` of a subject in a block each.

    ``gain``: its mean Brier score below that of uniform. ``log_e_uniform`` and ``log_e_configured``: ln E that it is
    better than these, valid at every look. ``is_better``: than what is configured, decisively.
    """

    policy: str
    results: int
    gain: Interval
    log_e_uniform: float
    log_e_configured: float
    is_better: bool


@dataclass(frozen=True, slots=True)
class SelectionStatus:
    """``advantage``: AUC of training on selected samples minus that on uniform ones, None before a control arm.

    ``uniform_only``: fine-tunes use uniform samples. ``results``: the comparisons, oldest first. ``race``: each policy
    on the live stream, uniform first, then what is configured; empty without a race.
    """

    advantage: Interval | None
    uniform_only: bool
    results: Sequence[Recorded]
    race: Sequence[Runner] = ()


@dataclass(frozen=True, slots=True)
class SelectionSummary:
    """The state of selection without its history: ``comparisons`` of the control arm, and as in `SelectionStatus`.

    ``leader``: the policy of the race with the largest mean gain, None without a race or before its first result.
    """

    advantage: Interval | None
    uniform_only: bool
    comparisons: int
    leader: Runner | None

    @classmethod
    def of(cls, found: SelectionStatus) -> "SelectionSummary":
        """Summarise a status.

        >>> SelectionSummary.of(SelectionStatus(None, False, ()))
        SelectionSummary(advantage=None, uniform_only=False, comparisons=0, leader=None)
        """
        raced = [each for each in found.race if each.results]
        leader = max(raced, key=lambda each: each.gain.estimate, default=None)
        return cls(found.advantage, found.uniform_only, len(found.results), leader)


def selection_status(engine: Engine, falls_back: bool, competing: tuple[Policy, ...] = ()) -> SelectionStatus:
    """Read what was recorded; ``falls_back``: whether selection may fall back at all. Raises Unavailable."""
    results = ControlArm(engine).all()
    compared = [each.compared for each in results]
    return SelectionStatus(
        advantage(compared),
        falls_back and fallen_back(compared),
        results,
        _race(engine, competing) if competing else (),
    )


def _race(engine: Engine, competing: tuple[Policy, ...]) -> Sequence[Runner]:
    standing = Races(engine).standing(race_name(competing), len(competing))
    log_e, decisive = standing.log_e, threshold(len(competing))
    return [
        Runner(
            str(policy), standing.results, standing.gain(k), float(log_e[k, 0]), float(log_e[k, CONFIGURED]),
            bool(log_e[k, CONFIGURED] >= decisive),
        )
        for k, policy in enumerate(competing)
    ]  # fmt: skip


def reader(settings: Settings, engine: Engine, *, with_race: bool = True) -> "partial[SelectionStatus]":
    """Return what reads the status by these settings; the race is a sum over all partitions."""
    falls_back = settings.selection_fallback == "on" and settings.control_every > 0
    return partial(selection_status, engine, falls_back, policies(settings) if with_race else ())
