"""The join of impressions with their actions, and how much of the stream is held in memory."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from weir.settings.sections.base import Count, EventSeconds, Seconds, Section


class Join(Section):
    """Times of the join, and bounds of what waits in it."""

    attribution_window_seconds: EventSeconds = Field(
        default=1800.0, description="how long an impression waits for its actions, in event time"
    )
    deduplication_seconds: EventSeconds = Field(
        default_factory=lambda known: known.get("attribution_window_seconds", 1800.0),
        description="how long ids are remembered, in event time; default: the attribution window",
    )
    idle_seconds: Seconds = Field(
        default=30.0,
        gt=0,
        description="a partition read to its end for so long lets event time run with the wall clock",
    )
    late: Literal["dead_letter", "count"] = Field(
        default="dead_letter",
        description="what becomes of an impression that comes too late, and of what answers it; both are counted",
    )
    max_waiting: Count = Field(
        default=100_000,
        description="impressions that may wait in a partition; past it the oldest are decided early, and counted",
    )
    max_waiting_bytes: int = Field(
        default=268_435_456, ge=65_536, le=2**40, description="the same bound in bytes of what waits"
    )
    max_fetched_bytes: int = Field(
        default=67_108_864,
        ge=1_048_576,
        le=2**40,
        description="bytes that a worker holds fetched and not yet decoded, over all its partitions",
    )
    max_remembered: Count = Field(default=500_000, description="records of a partition that may stay unacknowledged")

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        if self.max_remembered < self.max_waiting:
            bound = f"at least WEIR_MAX_WAITING, {self.max_waiting}"
            yield f"WEIR_MAX_REMEMBERED is {self.max_remembered}; it must be {bound}"
