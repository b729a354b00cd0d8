"""``/v1/training``: freeze, unfreeze, and request a run."""

from typing import Literal

from fastapi import status
from pydantic import BaseModel

from weir.api.context import ApiContext
from weir.api.permissions import Actor, Routers
from weir.api.shapes import NO_REASON, OptionalReason


class Frozen(BaseModel):
    """Whether training is frozen now."""

    frozen: bool


class TrainingRun(BaseModel):
    """``coalesced``: joined with a run that was requested already, or is under way. ``note``: no trainer runs."""

    state: Literal["accepted", "coalesced"]
    note: str | None = None


def add(routers: Routers, context: ApiContext) -> None:
    """Add the routes of the operator's control of training."""

    @routers.operator.post("/v1/training/freeze", tags=["training"])
    def freeze(actor: Actor, request: OptionalReason = NO_REASON) -> Frozen:
        """Stop training: nothing is promoted automatically any more."""
        context.operations.freeze(actor=actor, reason=request.reason)
        return Frozen(frozen=True)

    @routers.operator.post("/v1/training/unfreeze", tags=["training"])
    def unfreeze(actor: Actor, request: OptionalReason = NO_REASON) -> Frozen:
        """Resume training."""
        context.operations.unfreeze(actor=actor, reason=request.reason)
        return Frozen(frozen=False)

    @routers.operator.post("/v1/training/run", tags=["training"], status_code=status.HTTP_202_ACCEPTED)
    def run(actor: Actor, request: OptionalReason = NO_REASON) -> TrainingRun:
        """Request a fine-tune now; 409 while training is frozen."""
        is_new = context.operations.train_now(actor=actor, reason=request.reason)
        note = next((line for line in context.degraded() if line.startswith("no trainer")), None)
        return TrainingRun(state="accepted" if is_new else "coalesced", note=note)
