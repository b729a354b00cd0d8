"""``/v1/buffer`` and ``/v1/samples``: the state of the buffer, and its samples."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel

from storage.buffer_reader import Explained
from weir.api.context import ApiContext
from weir.api.permissions import Routers
from weir.api.shapes import Finite, Id

MAX_SAMPLES = 500  # of one page


class StratumState(BaseModel):
    """One stratum of the buffer; ``threshold`` is null until something was rejected.

    One subject may hold ``subject_capacity`` samples; ``largest_subject_share`` of the items are of one.
    """

    name: str
    capacity: int
    items: int
    threshold: Finite | None
    effective_sample_size: float
    subject_capacity: int
    largest_subject_share: float


class BufferState(BaseModel):
    """The bounded buffer."""

    capacity: int
    items: int
    strata: list[StratumState]


class Figure(BaseModel):
    """A statistic of the stream as the buffer estimates it, with a 95 % interval, and as it was (``stream``).

    ``too_few`` rows count towards it: the interval means nothing.
    """

    figure: str
    estimate: Finite
    low: Finite
    high: Finite
    too_few: bool
    stream: Finite | None


class EstimatedBufferState(BufferState):
    """The bounded buffer, and its estimates of the stream; ``note`` has their weeks, or why there are none."""

    note: str
    estimates: list[Figure]


class SampleState(BaseModel):
    """One sample as the buffer has it, and why it is there: ``probability`` of its inclusion, ``key`` of its draw."""

    id: str
    subject: str
    surface: str
    query: str
    item: str
    text: str
    label: int
    outcome: str
    time: datetime
    importance: float
    estimator: str
    model: str
    stratum: str
    key: Finite
    probability: float
    in_buffer: bool


class SelectedSample(BaseModel):
    """One sample to train on elsewhere; ``weight`` is 1 / ``probability``, that of being held."""

    id: str
    subject: str
    surface: str
    query: str
    item: str
    text: str
    attributes: dict[str, str | int | float | bool | None]
    label: int
    outcome: str
    time: datetime
    importance: float
    estimator: str
    model: str
    prediction: float | None
    stratum: str
    probability: float
    weight: float


class SelectedSamples(BaseModel):
    """A page of samples in the order of their ids; ``next`` is the ``after`` of the next page, null at the end."""

    samples: list[SelectedSample]
    next: str | None


def add(routers: Routers, context: ApiContext) -> None:
    """Add the routes that read the buffer."""

    @routers.viewer.get("/v1/buffer", tags=["buffer"])
    def buffer(estimates: bool = False) -> EstimatedBufferState | BufferState:
        """Capacity and samples by stratum; with ``estimates`` also the buffer's estimates of the stream."""
        state = BufferState.model_validate(context.reader.stats(), from_attributes=True)
        if not estimates:
            return state
        return EstimatedBufferState(**state.model_dump(), **asdict(context.estimates()))

    @routers.viewer.get("/v1/samples", tags=["buffer"])
    def samples(
        stratum: Annotated[Id | None, Query(description="default: all but holdout")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_SAMPLES)] = 100,
        after: Annotated[Id | None, Query(description="the id that the page follows")] = None,
    ) -> SelectedSamples:
        """Samples of the buffer with their weights, in the order of their ids, a page at a time."""
        found, following = context.reader.page(stratum, after or "", limit)
        return SelectedSamples(samples=[_selected(each) for each in found], next=following)

    @routers.viewer.get("/v1/samples/{id:path}", tags=["buffer"])
    def sample(id: Annotated[Id, Path(description="the sample's id")]) -> SampleState:  # noqa: A002
        """One sample, and why the buffer holds it."""
        found = context.reader.explain(id)
        shown = found.sample
        return SampleState(
            id=shown.id, subject=shown.subject, surface=shown.surface, query=shown.query, item=shown.item,
            text=shown.text, label=found.label, outcome=found.outcome, time=_time(shown.time_ms),
            importance=found.importance, estimator=found.estimator, model=found.model, stratum=found.stratum,
            key=found.key, probability=found.probability, in_buffer=found.in_buffer,
        )  # fmt: skip


def _selected(found: Explained) -> SelectedSample:
    shown = found.sample
    return SelectedSample(
        id=shown.id, subject=shown.subject, surface=shown.surface, query=shown.query, item=shown.item, text=shown.text,
        attributes=shown.attributes, label=found.label, outcome=found.outcome, time=_time(shown.time_ms),
        importance=found.importance, estimator=found.estimator, model=found.model, prediction=found.prediction,
        stratum=found.stratum, probability=found.probability, weight=1 / found.probability,
    )  # fmt: skip


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1_000, UTC)
