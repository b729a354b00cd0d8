"""``/v1/score``: the importance of given samples by the active model version."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from importance.errors import InvalidInput
from importance.mixture import LABEL_FREE, check_name
from importance.sample import Action, Sample
from weir.api.context import ApiContext
from weir.api.few import one_of_few
from weir.api.limits import MAX_ITEMS, Allowance
from weir.api.permissions import Routers
from weir.api.shapes import Estimator, Finite, Query, Request, Text


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


def add(routers: Routers, context: ApiContext) -> None:
    """Add scoring, with its bound of requests at once: the model takes one batch at a time."""
    under_way = Allowance(context.limits.scorings)

    @routers.scorer.post("/v1/score", tags=["scoring"])
    def score(request: ScoreRequest) -> ScoreAnswer:
        """The importance of samples by one or more estimators, by the active version."""
        _check_labels(request)
        samples = [_sample(str(i), x) for i, x in enumerate(request.samples)]
        with one_of_few(under_way, "requests are being scored", "send fewer at once, or raise WEIR_API_SCORINGS"):
            model, columns = context.score(samples, list(dict.fromkeys(request.estimators)))
        rows = [{name: float(column[i]) for name, column in columns.items()} for i in range(len(samples))]
        return ScoreAnswer(model=model, scores=rows)


def _check_labels(request: ScoreRequest) -> None:
    for name in request.estimators:
        check_name(name)
    needing = [name for name in request.estimators if name not in LABEL_FREE]
    missing = next((i for i, sample in enumerate(request.samples) if sample.label is None), None)
    if needing and missing is not None:
        raise InvalidInput(f"/samples/{missing} has no label, and {needing[0]} needs one: give it, or take entropy")


def _sample(id_: str, given: SampleToScore) -> Sample:
    """Return a sample as a model reads it. A purchase is positive whatever the label rule."""
    actions = Action.PURCHASE if given.label else Action.NONE
    return Sample(
        id_, "", "search", given.query, "", given.text, time_ms=0, partition=0, offset=0, actions=int(actions)
    )
