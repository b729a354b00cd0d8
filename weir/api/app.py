"""The factory of the HTTP interface. Making one starts nothing."""

from importlib.metadata import version

from fastapi import FastAPI

from weir.api import guard, measuring, problems, routes, status, stream
from weir.api.context import ApiContext
from weir.api.limits import Allowance

DESCRIPTION = """Importance of interactions, rankings by the model that serves, and the operator's hand on both.

Every error is a problem detail of RFC 9457. There are no tokens yet: only programs on this machine are served."""


def create_api(context: ApiContext) -> FastAPI:
    """The interface over what ``context`` gives it."""
    app = FastAPI(
        title="Weir",
        version=version("weirstream"),
        description=DESCRIPTION,
        redoc_url=None,
        responses={"default": problems.DOCUMENTED},
    )
    app.include_router(routes.create_router(context))
    app.include_router(status.create_router(context))
    app.include_router(stream.create_router(context))
    problems.install(app)
    app.add_middleware(guard.BoundedBody, limits=context.limits, held=Allowance(context.limits.bodies_bytes))
    app.add_middleware(guard.LoopbackOnly, origins=context.limits.origins)
    app.add_middleware(measuring.Measured, metrics=context.metrics)  # added last, so it sees every answer
    measuring.start_at_zero(app, context.metrics)
    return app
