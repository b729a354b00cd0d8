"""Whether selection helps, by the control arms, and what fine-tunes use: for the api and the commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from importance.control_arm import advantage, fallen_back
from importance.evidence import Interval
from storage.control_arm import ControlArm, Recorded
from storage.engine import Engine
from weir.settings import Settings


@dataclass(frozen=True, slots=True)
class SelectionStatus:
    """``advantage``: AUC of training on selected samples minus that on uniform ones, None before a control arm.

    ``uniform_only``: fine-tunes use uniform samples. ``results``: the comparisons, oldest first.
    """

    advantage: Interval | None
    uniform_only: bool
    results: Sequence[Recorded]


def selection_status(engine: Engine, falls_back: bool) -> SelectionStatus:
    """Read what was recorded; ``falls_back``: whether selection may fall back at all. Raises Unavailable."""
    results = ControlArm(engine).all()
    compared = [each.compared for each in results]
    return SelectionStatus(advantage(compared), falls_back and fallen_back(compared), results)


def reader(settings: Settings, engine: Engine) -> "partial[SelectionStatus]":
    """Return what reads the status by these settings."""
    return partial(selection_status, engine, settings.selection_fallback == "on" and settings.control_every > 0)
