"""The factory of the HTTP interface. Making one starts nothing."""

from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from weir.api import guard, measuring, problems
from weir.api.context import ApiContext
from weir.api.limits import Allowance
from weir.api.routes import create_routers

DESCRIPTION = """Importance of interactions, rankings by the active model version, and the operator's control of both.

Every error is a problem detail of RFC 9457. Once a token was created, every request but those for /healthz and /readyz
needs one."""


def create_api(context: ApiContext) -> FastAPI:
    """Return the interface over ``context``."""
    app = FastAPI(
        title="Weir",
        version=version("weirstream"),
        description=DESCRIPTION,
        openapi_url=None,  # routes of ours serve the description, as they need a role
        responses={"default": problems.DOCUMENTED},
    )
    routers = create_routers(context)
    for router in routers.by_role.values():
        app.include_router(router)
    problems.install(app)
    app.add_middleware(guard.BoundedBody, limits=context.limits, held=Allowance(context.limits.bodies_bytes))
    app.add_middleware(guard.Authenticated, access=context.access, routers=routers)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=context.limits.origins,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("Authorization", "Content-Type"),
    )
    app.add_middleware(guard.KnownHosts, hosts=context.limits.hosts, origins=context.limits.origins)
    app.add_middleware(measuring.Measured, metrics=context.metrics)  # added last, so it sees every answer
    measuring.start_at_zero(app, context.metrics)
    return app
