"""Shadow, mirror and canary: what is compared with the active version on live traffic, and what follows from it."""

from typing import Literal

from pydantic import Field

from weir.settings.sections.base import Seconds, Section, Share

_MAX_RESULTS = 100_000  # at which workers stop adding, whatever is set


class Shadow(Section):
    """How long a candidate stays in shadow, what promotes it, and the test after a promotion."""

    shadow: Literal["off", "on"] = Field(
        default="off", description="on: a candidate that passed the gate is compared on live traffic before it serves"
    )
    shadow_promote_by: Literal["non_inferiority", "superiority"] = Field(
        default="non_inferiority", description="what live traffic must show of a candidate in shadow"
    )
    shadow_margin: float = Field(
        default=0.02, gt=0, lt=1, description="share of subjects by which such a candidate may lose more than it wins"
    )
    shadow_limit_seconds: Seconds = Field(
        default=86_400.0, gt=0, description="time after which an undecided candidate is rejected"
    )
    shadow_limit_results: int = Field(
        default=20_000, ge=1, le=_MAX_RESULTS, description="subjects after which an undecided candidate is rejected"
    )
    mirror_share: Share = Field(
        default=0.25,
        description="share of subjects by which the version before is compared after a promotion; 0: none",
    )
    mirror_limit_results: int = Field(
        default=5_000, ge=1, le=_MAX_RESULTS, description="subjects after which that comparison ends"
    )
    auto_rollback: Literal["off", "on"] = Field(
        default="off", description="on: the rollback that this comparison proposes is carried out, and freezes training"
    )
    canary_share: Share = Field(
        default=0.0, description="share of subjects that POST /v1/rank answers by the candidate in shadow"
    )
