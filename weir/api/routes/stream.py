"""``GET /v1/stream``: the live state as server-sent events, one each time it changed, while a client listens."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from importance.errors import NotFound, Unavailable
from importance.finite import finite_or_none
from weir.api.context import ApiContext
from weir.api.limits import Allowance
from weir.api.permissions import CallerOf, Routers
from weir.status.snapshot import Snapshot

MAX_LISTENERS = 32  # each costs a read of Postgres a second
POLL_SECONDS = 1.0


def add(routers: Routers, context: ApiContext) -> None:
    """Add the stream of the live state."""
    listeners = Allowance(MAX_LISTENERS)

    async def listening() -> AsyncIterator[None]:
        """Count a listener from its request until its response has ended, however it ends."""
        if not listeners.take():
            raise Unavailable(f"{listeners.limit} listen to the live state already, as many as may: close one")
        try:
            yield
        finally:
            listeners.give_back()

    @routers.viewer.get(
        "/v1/stream", tags=["live"], response_class=EventSourceResponse, dependencies=[Depends(listening)]
    )
    async def stream(caller: CallerOf) -> AsyncIterator[ServerSentEvent]:
        """The live state as server-sent events: ``state`` with the metrics, ``unavailable`` with the reason."""
        last = None
        while not context.closing.is_set() and await context.access.still(caller):
            event = await run_in_threadpool(_event, context)
            if event != last:
                last = event
                yield event
            await asyncio.sleep(POLL_SECONDS)


def _event(context: ApiContext) -> ServerSentEvent:
    try:
        name, content = "state", live_state(context.snapshot())
    except (Unavailable, NotFound) as error:
        name, content = "unavailable", {"detail": str(error)}
    return ServerSentEvent(event=name, raw_data=json.dumps(content, separators=(",", ":")))


def live_state(snapshot: Snapshot) -> dict[str, object]:
    """Return the metrics of the live view as JSON values, with null for what is not a finite number."""
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
