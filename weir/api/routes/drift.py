"""``/v1/drift``: where each test of the stream is, and the alarms that were given."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from weir.api.context import ApiContext
from weir.api.permissions import Routers
from weir.api.shapes import Finite


class DriftTestState(BaseModel):
    """A test of a feature in a segment; its last check is null until its reference is complete.

    ``checked``: the start of the block that was checked last, in event time. ``version``: the model version that has a
    part in the feature, empty where none has.
    """

    test: str
    feature: str
    segment: str
    version: str
    statistic: Finite | None
    threshold: Finite | None
    p_value: Finite | None
    checked: datetime | None
    alarms: int


class DriftAlarm(BaseModel):
    """A test found that its feature changed, at the block that starts at ``block``, in event time."""

    id: int
    time: datetime
    block: datetime
    test: str
    feature: str
    segment: str
    version: str
    statistic: Finite
    threshold: Finite
    p_value: Finite | None


class DriftState(BaseModel):
    """The tests, and the latest alarms, newest first; ``evaluated``: event time up to which all was evaluated."""

    evaluated: datetime | None
    tests: list[DriftTestState]
    alarms: list[DriftAlarm]


def add(routers: Routers, context: ApiContext) -> None:
    """Add the route that reads drift."""

    @routers.viewer.get("/v1/drift", tags=["drift"])
    def drift(limit: Annotated[int, Query(ge=1, le=1_000, description="alarms at most")] = 100) -> DriftState:
        """Every test of the stream for drift, with its last check, and the latest alarms."""
        evaluated_ms = context.drift.evaluated_ms()
        return DriftState(
            evaluated=None if evaluated_ms is None else _time(evaluated_ms),
            tests=[
                DriftTestState(
                    test=x.test, feature=x.feature, segment=x.segment, version=x.version, statistic=x.statistic,
                    threshold=x.threshold, p_value=x.p_value, alarms=x.alarms,
                    checked=None if x.checked_ms is None else _time(x.checked_ms),
                )
                for x in context.drift.states()
            ],
            alarms=[
                DriftAlarm(
                    id=x.id, time=x.time, block=_time(x.alarm.block_ms), test=x.alarm.test, feature=x.alarm.feature,
                    segment=x.alarm.segment, version=x.alarm.version, statistic=x.alarm.statistic,
                    threshold=x.alarm.threshold, p_value=x.alarm.p_value,
                )
                for x in context.drift.alarms(limit)
            ],
        )  # fmt: skip


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1_000, UTC)
