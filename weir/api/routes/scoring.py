"""``/v1/score`` and ``/v1/rank``: importance and predictions by the active model version."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import HTTPException, status
from pydantic import BaseModel, Field

from importance.errors import InvalidInput
from importance.mixture import LABEL_FREE, check_name
from importance.sample import Action, Sample
from weir.api.context import ApiContext
from weir.api.limits import Allowance
from weir.api.permissions import Routers
from weir.api.shapes import Estimator, Finite, Id, Query, Request, Surface, Text

MAX_ITEMS = 1_000  # of one request: a few seconds of one CPU


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
    """One item to rank."""

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


def add(routers: Routers, context: ApiContext) -> None:
    """Add scoring and ranking, which share one bound of requests at once."""
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

    @routers.scorer.post("/v1/score", tags=["scoring"])
    def score(request: ScoreRequest) -> ScoreAnswer:
        """The importance of samples by one or more estimators, by the active version."""
        _check_labels(request)
        samples = [_sample(str(i), "", "search", x.query, "", x.text, x.label) for i, x in enumerate(request.samples)]
        with one_of_few():
            model, columns = context.score(samples, list(dict.fromkeys(request.estimators)))
        rows = [{name: float(column[i]) for name, column in columns.items()} for i in range(len(samples))]
        return ScoreAnswer(model=model, scores=rows)

    @routers.scorer.post("/v1/rank", tags=["scoring"])
    def rank(request: RankRequest) -> RankAnswer:
        """Items by the probability of a positive outcome, best first; equals keep their order.

        ``model`` is the version that ranked: the candidate in shadow for subjects of the canary's share.
        """
        samples = [
            _sample(str(i), request.subject or "", request.surface, request.query, x.item, x.text, None)
            for i, x in enumerate(request.items)
        ]
        with one_of_few():
            model, predictions = context.predict(samples, request.subject)
        order = sorted(range(len(samples)), key=lambda i: -float(predictions[i]))
        ranking = [Ranked(item=samples[i].item, score=float(predictions[i])) for i in order]
        return RankAnswer(model=model, ranking=ranking)


def _check_labels(request: ScoreRequest) -> None:
    for name in request.estimators:
        check_name(name)
    needing = [name for name in request.estimators if name not in LABEL_FREE]
    missing = next((i for i, sample in enumerate(request.samples) if sample.label is None), None)
    if needing and missing is not None:
        raise InvalidInput(f"/samples/{missing} has no label, and {needing[0]} needs one: give it, or take entropy")


def _sample(id_: str, subject: str, surface: str, query: str, item: str, text: str, label: int | None) -> Sample:
    """Return a sample as a model reads it. A purchase is positive whatever the label rule."""
    actions = Action.PURCHASE if label else Action.NONE
    return Sample(id_, subject, surface, query, item, text, time_ms=0, partition=0, offset=0, actions=int(actions))
