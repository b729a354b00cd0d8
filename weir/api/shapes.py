"""What goes in and out of the interface. Times are RFC 3339 in UTC; a number that is not finite is null."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from importance.finite import finite_or_none

MAX_SAMPLES = 500  # of one page
MAX_ITEMS = 1_000  # of one scoring or ranking request: a few seconds of one CPU


def _without_nul(text: str) -> str:
    """As in an event; and Postgres has no text with U+0000."""
    if "\0" in text:
        raise PydanticCustomError("nul_character", "it holds U+0000, which no text may: take it out")
    return text


Finite = Annotated[float, PlainSerializer(finite_or_none, when_used="json")]
Whole = Annotated[str, AfterValidator(_without_nul)]
Text = Annotated[Whole, Field(max_length=8_192)]
Query = Annotated[Whole, Field(max_length=2_048)]
Id = Annotated[Whole, Field(min_length=1, max_length=128)]
Version = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
Why = Annotated[Whole, Field(min_length=1, max_length=2_000, description="why, for the log")]
Estimator = Annotated[str, Field(max_length=64)]
Surface = Literal["search", "recommendation", "ad"]


class Request(BaseModel):
    """Base of what comes in: unknown fields are refused, so that a misspelled one is not silently without effect."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class SampleToScore(Request):
    """One sample; without a ``label`` only estimators that need none can score it."""

    query: Query
    text: Text
    label: Literal[0, 1] | None = None


class ScoreRequest(Request):
    """Samples, and the estimators to score them by."""

    samples: Annotated[list[SampleToScore], Field(min_length=1, max_length=MAX_ITEMS)]
    estimators: Annotated[list[Estimator], Field(min_length=1, max_length=16)]


class ScoreAnswer(BaseModel):
    """The version that scored; for each sample, in order, its score by each estimator."""

    model: str
    scores: list[dict[str, Finite]]


class Item(Request):
    """One thing to rank."""

    item: Id
    text: Text


class RankRequest(Request):
    """A query (for recommendation and ads the context) and the items to rank for it."""

    query: Query
    surface: Surface
    subject: Id | None = None
    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)]


class Ranked(BaseModel):
    """An item and the probability of a positive outcome that orders it."""

    item: str
    score: float


class RankAnswer(BaseModel):
    """The version that ranked; the items, best first."""

    model: str
    ranking: list[Ranked]


class ModelVersion(BaseModel):
    """A version of the model. ``metrics`` are those of its evaluation and the gate's decision."""

    version: str
    parent: str | None
    state: str
    created: datetime
    metrics: dict[str, object]


class LogEntry(BaseModel):
    """One entry of the promotion log: who, why, when, from, to."""

    sequence: int
    kind: Literal["promote", "rollback", "freeze", "unfreeze"]
    from_version: str | None
    to_version: str | None
    actor: str
    reason: str
    time: datetime


class PromotionLog(BaseModel):
    """All entries of the promotion log, oldest first; ``version``: what was active ``at`` a time, if one was given."""

    at: datetime | None
    version: str | None
    log: list[LogEntry]


class ModelDetails(ModelVersion):
    """A version with where its files lie and what the log says of it."""

    artifact: str
    sha256: str
    log: list[LogEntry]


class Models(BaseModel):
    """The version that serves, whether training is frozen, and all versions, oldest first."""

    active: str | None
    frozen: bool
    versions: list[ModelVersion]


class ReasonRequest(Request):
    """A reason, which is kept."""

    reason: Why = "asked for over HTTP"


class RollbackRequest(Request):
    """``version``: where to go back to; by default the previous one."""

    version: Version | None = None
    reason: Why


class Serving(BaseModel):
    """What serves after a promotion or a rollback, and the log's sequence of it."""

    sequence: int
    version: str
    frozen: bool


class Frozen(BaseModel):
    """Whether training is frozen now."""

    frozen: bool


class TrainingRun(BaseModel):
    """``coalesced``: a run was asked for already, or goes on; the two become one. ``note``: no trainer runs."""

    state: Literal["accepted", "coalesced"]
    note: str | None = None


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
    """A figure of the stream as the buffer estimates it, with a 95 % interval, and as it was (``stream``).

    ``too_few`` rows count towards it: the interval says nothing.
    """

    figure: str
    estimate: Finite
    low: Finite
    high: Finite
    too_few: bool
    stream: Finite | None


class EstimatedBufferState(BufferState):
    """The bounded buffer, and what it says of the stream; ``note`` tells of which weeks, or why it says nothing."""

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


class Health(BaseModel):
    """The process lives."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether the role can work, and why not. ``degraded``: what the rest of the service lacks; it stays ready."""

    ready: bool
    reasons: list[str]
    degraded: list[str] = []
