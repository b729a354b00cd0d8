"""The factory of the HTTP interface. Making one starts nothing."""

from importlib.metadata import version

from fastapi import FastAPI

from weir.api import guard, measuring, problems
from weir.api.context import ApiContext
from weir.api.limits import Allowance
from weir.api.routes import create_router

DESCRIPTION = """Importance of interactions, rankings by the active model version, and the operator's control of both.

Every error is a problem detail of RFC 9457. There are no tokens yet: only programs on this machine are served."""


def create_api(context: ApiContext) -> FastAPI:
    """Return the interface over ``context``."""
    app = FastAPI(
        title="Weir",
        version=version("weirstream"),
        description=DESCRIPTION,
        redoc_url=None,
        responses={"default": problems.DOCUMENTED},
    )
    app.include_router(create_router(context))
    problems.install(app)
    app.add_middleware(guard.BoundedBody, limits=context.limits, held=Allowance(context.limits.bodies_bytes))
    app.add_middleware(guard.LoopbackOnly, origins=context.limits.origins)
    app.add_middleware(measuring.Measured, metrics=context.metrics)  # added last, so it sees every answer
    measuring.start_at_zero(app, context.metrics)
    return app
