"""What is served, an area a file: thin functions in threads, so they may wait, each with its request and answer.

A file has the shapes of its area and `add`, which adds its routes to the routers of the roles that they need.
`create_routers` names all areas.
"""

from weir.api.context import ApiContext
from weir.api.permissions import Routers
from weir.api.routes import (
    audit,
    buffer,
    description,
    drift,
    history,
    lineage,
    models,
    probes,
    ranking,
    scoring,
    selection,
    status,
    stream,
    subjects,
    training,
)

_AREAS = (
    probes, description, scoring, ranking, models, lineage, training, buffer, history, drift, selection, status, stream,
    audit, subjects,
)  # fmt: skip


def create_routers(context: ApiContext) -> Routers:
    """Return all routes, over what ``context`` gives them."""
    routers = Routers()
    for area in _AREAS:
        area.add(routers, context)
    return routers
