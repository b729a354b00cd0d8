"""What is served, route by route: thin functions between shapes and the rooms, in threads, so they may wait."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, HTTPException, Path, Query, Response, status

from importance.errors import InvalidInput
from importance.mixture import LABEL_FREE, check_name
from importance.sample import Action, Sample
from storage.buffer_reader import Explained
from storage.registry import Entry, Version, served_at
from weir.api import shapes
from weir.api.context import ApiContext
from weir.api.limits import Allowance
from weir.api.outline import outlined_route

ACTOR = "http"  # there are no tokens yet, so nobody has a name

Reason = Annotated[shapes.ReasonRequest, Body()]
UNTOLD = shapes.ReasonRequest()
VersionName = Annotated[shapes.Version, Path(description="a version of GET /v1/models")]


def create_router(context: ApiContext) -> APIRouter:
    """All routes but the live stream."""
    router = APIRouter(route_class=outlined_route(ThreadPoolExecutor(1, "weir-parse")))
    _probes(router, context)
    _scoring(router, context)
    _models(router, context)
    _training(router, context)
    _buffer(router, context)
    return router


def _probes(router: APIRouter, context: ApiContext) -> None:
    # Health and readiness wait for nothing, so they need no thread: all of them may be taken.
    @router.get("/healthz", tags=["probes"])
    async def healthz() -> shapes.Health:
        """200 while the process lives."""
        return shapes.Health()

    @router.get("/readyz", tags=["probes"], responses={503: {"model": shapes.Readiness, "description": "Not ready"}})
    async def readyz(response: Response) -> shapes.Readiness:
        """200 when requests can be served, else 503 with the reasons; ``degraded`` names other roles that are gone."""
        reasons = list(context.not_ready())
        if reasons:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return shapes.Readiness(ready=not reasons, reasons=reasons, degraded=list(context.degraded()))

    @router.get("/metrics", tags=["probes"], response_class=Response)
    def metrics() -> Response:
        """All figures in Prometheus' text format."""
        body, content_type = context.page()
        return Response(body, headers={"Content-Type": content_type})


def _scoring(router: APIRouter, context: ApiContext) -> None:
    under_way = Allowance(context.limits.scorings)

    @contextmanager
    def one_of_few() -> Iterator[None]:
        """Count a scoring while it is under way; 429 when there are enough: the model takes one batch at a time."""
        if not under_way.take():
            detail = f"{under_way.limit} requests are being scored, as many as may: send fewer at once"
            raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, f"{detail}, or raise WEIR_API_SCORINGS")
        try:
            yield
        finally:
            under_way.give_back()

    @router.post("/v1/score", tags=["scoring"])
    def score(request: shapes.ScoreRequest) -> shapes.ScoreAnswer:
        """The importance of samples by one or more estimators, by the version that serves."""
        _check_labels(request)
        samples = [_sample(str(i), "", "search", x.query, "", x.text, x.label) for i, x in enumerate(request.samples)]
        with one_of_few():
            model, columns = context.score(samples, list(dict.fromkeys(request.estimators)))
        rows = [{name: float(column[i]) for name, column in columns.items()} for i in range(len(samples))]
        return shapes.ScoreAnswer(model=model, scores=rows)

    @router.post("/v1/rank", tags=["scoring"])
    def rank(request: shapes.RankRequest) -> shapes.RankAnswer:
        """Items by the probability of a positive outcome, best first; equals keep their order."""
        samples = [
            _sample(str(i), request.subject or "", request.surface, request.query, x.item, x.text, None)
            for i, x in enumerate(request.items)
        ]
        with one_of_few():
            model, predictions = context.predict(samples)
        order = sorted(range(len(samples)), key=lambda i: -float(predictions[i]))
        ranking = [shapes.Ranked(item=samples[i].item, score=float(predictions[i])) for i in order]
        return shapes.RankAnswer(model=model, ranking=ranking)


def _models(router: APIRouter, context: ApiContext) -> None:
    registry = context.registry

    @router.get("/v1/models", tags=["models"])
    def models() -> shapes.Models:
        """The version that serves, whether training is frozen, and all versions."""
        active = registry.active()
        return shapes.Models(
            active=active.version if active else None,
            frozen=registry.frozen(),
            versions=[_described(version) for version in registry.versions()],
        )

    @router.get("/v1/models/log", tags=["models"])
    def log(at: datetime | None = None) -> shapes.PromotionLog:
        """The whole append-only promotion log, oldest first; with ``at`` also the version that was active then."""
        if at is not None and at.tzinfo is None:
            raise InvalidInput(f"at is {at.isoformat()}, without an offset from UTC: write it as 2026-01-01T08:53:00Z")
        entries = registry.log()
        version = None if at is None else served_at(entries, at)
        return shapes.PromotionLog(at=at, version=version, log=[_entry(entry) for entry in entries])

    @router.get("/v1/models/{version}", tags=["models"])
    def model(version: VersionName) -> shapes.ModelDetails:
        """One version, with its files and what the log says of it."""
        found = registry.version(version)
        log = [_entry(entry) for entry in registry.log(version)]
        return shapes.ModelDetails(
            **_described(found).model_dump(), artifact=found.artifact, sha256=found.sha256, log=log
        )

    @router.post("/v1/models/rollback", tags=["models"])
    def rollback(request: shapes.RollbackRequest) -> shapes.Serving:
        """Let an earlier version serve again, and freeze training. Repeated, it walks further back."""
        entry = context.operations.rollback(request.version, actor=ACTOR, reason=request.reason)
        return _serving(entry, frozen=True)

    @router.post("/v1/models/{version}/promote", tags=["models"])
    def promote(version: VersionName, request: Reason = UNTOLD) -> shapes.Serving:
        """Let a version serve, whatever the gate said of it; 409 when its files are not as registered."""
        frozen = registry.frozen()  # asked before: once the change is made, nothing may say that it failed
        entry = context.operations.promote(version, actor=ACTOR, reason=request.reason)
        return _serving(entry, frozen)


def _training(router: APIRouter, context: ApiContext) -> None:
    @router.post("/v1/training/freeze", tags=["training"])
    def freeze(request: Reason = UNTOLD) -> shapes.Frozen:
        """Stop training: nothing is promoted by itself any more."""
        context.operations.freeze(actor=ACTOR, reason=request.reason)
        return shapes.Frozen(frozen=True)

    @router.post("/v1/training/unfreeze", tags=["training"])
    def unfreeze(request: Reason = UNTOLD) -> shapes.Frozen:
        """Resume training."""
        context.operations.unfreeze(actor=ACTOR, reason=request.reason)
        return shapes.Frozen(frozen=False)

    @router.post("/v1/training/run", tags=["training"], status_code=status.HTTP_202_ACCEPTED)
    def run(request: Reason = UNTOLD) -> shapes.TrainingRun:
        """Ask for a fine-tune now; 409 while training is frozen."""
        is_new = context.operations.train_now(actor=ACTOR, reason=request.reason)
        note = next((line for line in context.degraded() if line.startswith("no trainer")), None)
        return shapes.TrainingRun(state="accepted" if is_new else "coalesced", note=note)


def _buffer(router: APIRouter, context: ApiContext) -> None:
    @router.get("/v1/buffer", tags=["buffer"])
    def buffer(estimates: bool = False) -> shapes.EstimatedBufferState | shapes.BufferState:
        """Places and samples by stratum; with ``estimates`` also what the buffer says of the stream."""
        state = shapes.BufferState.model_validate(context.reader.stats(), from_attributes=True)
        if not estimates:
            return state
        return shapes.EstimatedBufferState(**state.model_dump(), **asdict(context.estimates()))

    @router.get("/v1/samples", tags=["buffer"])
    def samples(
        stratum: Annotated[shapes.Id | None, Query(description="default: all but holdout")] = None,
        limit: Annotated[int, Query(ge=1, le=shapes.MAX_SAMPLES)] = 100,
        after: Annotated[shapes.Id | None, Query(description="the id that the page follows")] = None,
    ) -> shapes.SelectedSamples:
        """Samples of the buffer with their weights, in the order of their ids, a page at a time."""
        found, following = context.reader.page(stratum, after or "", limit)
        return shapes.SelectedSamples(samples=[_selected(each) for each in found], next=following)

    @router.get("/v1/samples/{id:path}", tags=["buffer"])
    def sample(id: Annotated[shapes.Id, Path(description="the sample's id")]) -> shapes.SampleState:  # noqa: A002
        """One sample, and why the buffer holds it."""
        found = context.reader.explain(id)
        shown = found.sample
        return shapes.SampleState(
            id=shown.id, subject=shown.subject, surface=shown.surface, query=shown.query, item=shown.item,
            text=shown.text, label=found.label, outcome=found.outcome, time=_time(shown.time_ms),
            importance=found.importance, estimator=found.estimator, model=found.model, stratum=found.stratum,
            key=found.key, probability=found.probability, in_buffer=found.in_buffer,
        )  # fmt: skip


def _selected(found: Explained) -> shapes.SelectedSample:
    shown = found.sample
    return shapes.SelectedSample(
        id=shown.id, subject=shown.subject, surface=shown.surface, query=shown.query, item=shown.item, text=shown.text,
        attributes=shown.attributes, label=found.label, outcome=found.outcome, time=_time(shown.time_ms),
        importance=found.importance, estimator=found.estimator, model=found.model, prediction=found.prediction,
        stratum=found.stratum, probability=found.probability, weight=1 / found.probability,
    )  # fmt: skip


def _check_labels(request: shapes.ScoreRequest) -> None:
    for name in request.estimators:
        check_name(name)
    needing = [name for name in request.estimators if name not in LABEL_FREE]
    missing = next((i for i, sample in enumerate(request.samples) if sample.label is None), None)
    if needing and missing is not None:
        raise InvalidInput(f"/samples/{missing} has no label, and {needing[0]} needs one: give it, or take entropy")


def _sample(id_: str, subject: str, surface: str, query: str, item: str, text: str, label: int | None) -> Sample:
    """A sample as a model reads it. A purchase is positive whatever the label rule."""
    actions = Action.PURCHASE if label else Action.NONE
    return Sample(id_, subject, surface, query, item, text, time_ms=0, partition=0, offset=0, actions=int(actions))


def _described(version: Version) -> shapes.ModelVersion:
    return shapes.ModelVersion.model_validate(version, from_attributes=True)


def _entry(entry: Entry) -> shapes.LogEntry:
    return shapes.LogEntry.model_validate(entry, from_attributes=True)


def _serving(entry: Entry, frozen: bool) -> shapes.Serving:
    assert entry.to_version is not None
    return shapes.Serving(sequence=entry.sequence, version=entry.to_version, frozen=frozen)


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1_000, UTC)
