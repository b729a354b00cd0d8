"""What is served, an area a file: thin functions in threads, so they may wait, each with its request and answer.

A file has the shapes of its area and `add`, which adds its routes to a router. `create_router` names all areas.
"""

from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter

from weir.api.context import ApiContext
from weir.api.outline import outlined_route
from weir.api.routes import buffer, models, probes, scoring, status, stream, training

_AREAS = (probes, scoring, models, training, buffer, status, stream)


def create_router(context: ApiContext) -> APIRouter:
    """Return all routes, over what ``context`` gives them."""
    router = APIRouter(route_class=outlined_route(ThreadPoolExecutor(1, "weir-parse")))
    for area in _AREAS:
        area.add(router, context)
    return router
