"""``/v1/rank``: items by the probability of a positive outcome, best first, by the active model version."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from http import HTTPStatus
from typing import Annotated

import msgspec
import numpy as np
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import HTTPException, Response
from fastapi import Request as HttpRequest
from pydantic import BaseModel, Field

from importance.context import context_of
from importance.errors import Unavailable
from importance.scores import Predictions
from weir.api.context import ApiContext
from weir.api.limits import MAX_ITEMS
from weir.api.permissions import Routers
from weir.api.rankings import TooMany
from weir.api.shapes import Id, Query, Request, Surface, Text

CLIENT_LEFT = 499
"""The status by which a request is counted whose client left before its answer; nobody receives it."""

MAX_READING = 8
"""Contexts that are read at once, in threads of their own: while Postgres hangs, no other request waits for one."""


class Item(Request):
    """One item to rank."""

    item: Id
    text: Text


class RankRequest(Request):
    """A query (for recommendation and ads the context) and the items to rank for it.

    Without a query the context is what the subject had to do with last, where that is kept.
    """

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
    """Add ranking, which waits for its turn without a thread."""
    reading = CapacityLimiter(MAX_READING)

    @routers.scorer.post("/v1/rank", tags=["scoring"], response_model=RankAnswer)
    async def rank(request: RankRequest, http: HttpRequest) -> Response:
        """Items by the probability of a positive outcome, best first; equals keep their order.

        ``model`` is the version that ranked: the candidate in shadow for subjects of the canary's share.
        """
        rankings = context.rankings(request.subject)
        try:
            with rankings.counted(len(request.items)):
                query = request.query or await _context(context.recent_texts, request.subject, reading)
            submitted = rankings.submit([(each.text, query) for each in request.items])
        except TooMany as error:
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from None
        answer = await _answer(submitted, http)
        if answer is None:
            return Response(status_code=CLIENT_LEFT)
        return Response(_body(request, answer), media_type="application/json")


async def _context(
    recent_texts: Callable[[str], Sequence[str]] | None, subject: str | None, reading: CapacityLimiter
) -> str:
    """Return the context of a ranking without a query: what its subject had to do with last.

    Empty where nothing is known of the subject, or cannot be: a ranking needs Postgres no more than one with a query.
    """
    if recent_texts is None or subject is None:
        return ""
    try:
        return context_of(await run_sync(recent_texts, subject, limiter=reading))
    except Unavailable:
        return ""


async def _answer(submitted: "Future[Predictions]", http: HttpRequest) -> Predictions | None:
    """Return the answer; None, and nothing is computed, where the client leaves before its turn."""
    answer = asyncio.wrap_future(submitted)
    left = asyncio.ensure_future(http.receive())  # the body is read: what comes next is that the client has left
    try:
        await asyncio.wait((answer, left), return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
    finally:
        left.cancel()
        answer.cancel()


def _body(request: RankRequest, answer: Predictions) -> bytes:
    """Write the answer as `RankAnswer` does, at a tenth of the cost: most of a request is not the network."""
    order = np.argsort(-answer.values, kind="stable").tolist()
    ranking = [
        {"item": request.items[row].item, "score": score}
        for row, score in zip(order, answer.values[order].tolist(), strict=True)
    ]
    return msgspec.json.encode({"model": answer.version, "ranking": ranking})
