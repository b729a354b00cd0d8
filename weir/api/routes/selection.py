"""``/v1/selection``: whether selection helps, by the control arms."""

from datetime import datetime

from pydantic import BaseModel

from weir.api.context import ApiContext
from weir.api.permissions import Routers
from weir.api.shapes import Finite


class Advantage(BaseModel):
    """A difference with its 95 % interval."""

    estimate: Finite
    low: Finite
    high: Finite


class ControlResult(BaseModel):
    """The comparison of run ``run``; ``uniform_only``: its candidate was the one trained on uniform samples."""

    run: int
    time: datetime
    difference: Finite
    standard_error: Finite
    uniform_only: bool


class RaceResult(BaseModel):
    """A policy in the race of workers, over ``results`` of a subject in a block each.

    ``gain``: its mean Brier score below that of uniform. ``log_e_uniform`` and ``log_e_configured``: ln E that it is
    better than these. ``is_better``: than what is configured, decisively.
    """

    policy: str
    results: int
    gain: Advantage
    log_e_uniform: Finite
    log_e_configured: Finite
    is_better: bool


class SelectionState(BaseModel):
    """``advantage`` is pooled over the latest comparisons, null before the first; ``results`` newest first.

    ``uniform_only``: selection has fallen back, and fine-tunes use uniform samples. ``race``: uniform first, then what
    is configured.
    """

    advantage: Advantage | None
    uniform_only: bool
    results: list[ControlResult]
    race: list[RaceResult]


def add(routers: Routers, context: ApiContext) -> None:
    """Add the route that reads selection."""

    @routers.viewer.get("/v1/selection", tags=["training"])
    def selection() -> SelectionState:
        """Whether training on selected samples is better than on uniform ones, and what fine-tunes use."""
        found = context.selection()
        pooled = found.advantage
        return SelectionState(
            advantage=None if pooled is None else Advantage(estimate=pooled.estimate, low=pooled.low, high=pooled.high),
            uniform_only=found.uniform_only,
            results=[
                ControlResult(
                    run=x.run, time=x.time, difference=x.compared.difference,
                    standard_error=x.compared.standard_error, uniform_only=x.uniform_only,
                )
                for x in reversed(found.results)
            ],
            race=[
                RaceResult(
                    policy=x.policy, results=x.results, log_e_uniform=x.log_e_uniform,
                    log_e_configured=x.log_e_configured, is_better=x.is_better,
                    gain=Advantage(estimate=x.gain.estimate, low=x.gain.low, high=x.gain.high),
                )
                for x in found.race
            ],
        )  # fmt: skip
