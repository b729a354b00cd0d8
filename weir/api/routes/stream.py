"""``GET /v1/stream``: the live state as server-sent events, one each time it changed, while anybody listens."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from importance.errors import NotFound, Unavailable
from importance.finite import finite_or_none
from weir.api.context import ApiContext
from weir.api.limits import Allowance
from weir.status.snapshot import Snapshot

MAX_LISTENERS = 32  # each costs a look at Postgres a second
LOOK_SECONDS = 1.0
COMMENT_SECONDS = 15.0  # at least something is sent so often, or proxies in between close the connection


def add(router: APIRouter, context: ApiContext) -> None:
    """Add the stream of the live state."""
    listeners = Allowance(MAX_LISTENERS)

    @router.get("/v1/stream", tags=["live"], response_class=StreamingResponse)
    async def stream() -> StreamingResponse:
        """The live state as server-sent events: ``state`` with the figures, ``unavailable`` with the reason."""
        return _Live(context, listeners)


class _Live(StreamingResponse):
    """An endless answer that is counted from when it is made until it has ended, however it ends."""

    def __init__(self, context: ApiContext, listeners: Allowance) -> None:
        if not listeners.take():
            raise Unavailable(f"{listeners.limit} listen to the live state already, as many as may: close one")
        self._listeners = listeners
        super().__init__(_events(context), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._listeners.give_back()


async def _events(context: ApiContext) -> AsyncIterator[str]:
    last, silent_seconds = "", 0.0
    while not context.closing.is_set():
        event = await run_in_threadpool(_event, context)
        if event != last:
            last, silent_seconds = event, 0.0
            yield event
        elif silent_seconds >= COMMENT_SECONDS:
            silent_seconds = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(LOOK_SECONDS)
        silent_seconds += LOOK_SECONDS


def _event(context: ApiContext) -> str:
    try:
        name, content = "state", live_state(context.snapshot())
    except (Unavailable, NotFound) as error:
        name, content = "unavailable", {"detail": str(error)}
    return f"event: {name}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n"


def live_state(snapshot: Snapshot) -> dict[str, object]:
    """The figures of the live view as plain values: JSON with null for what is not a finite number."""
    active, run = snapshot.active, snapshot.runs[0] if snapshot.runs else None
    return {
        "samples": snapshot.samples,
        "promotions": snapshot.promotions,
        "active": active.version if active else None,
        "frozen": active.frozen if active else False,
        "buffer": {
            "capacity": snapshot.buffer.capacity,
            "items": snapshot.buffer.items,
            "strata": [{"name": x.name, "capacity": x.capacity, "items": x.items} for x in snapshot.buffer.strata],
        },
        "training": None
        if run is None
        else {"trigger": run.trigger, "started": _rfc3339(run.started), "result": run.result},
        "auc": {
            "mean": {name: finite_or_none(snapshot.mean_auc(name)) for name in ("serving", "frozen", "reference")},
            "recent": {name: finite_or_none(figures.auc) for name, figures in snapshot.recent.get("all", {}).items()},
            "weeks": [
                {"week": week.monday, **{name: finite_or_none(figures.auc) for name, figures in week.metrics.items()}}
                for week in snapshot.weeks.get("all", ())
            ],
        },
    }


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
