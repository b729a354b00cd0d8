"""The role that each route needs, by the router that it is declared at; and the name of the caller in a route."""

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from storage.tokens import Role
from weir.api.access import Caller
from weir.api.outline import outlined_route

CALLER = "weir.caller"
"""The key of the scope of a request where `guard.Authenticated` leaves its `Caller`."""

# Only declares the scheme in the description: `guard` refuses callers before a body is read.
_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of `weir tokens create`. Before the first one was created, none is needed on loopback.",
)


class Routers:
    """A router for each role, and one for the probes, which are open to all: no route is without a role."""

    def __init__(self) -> None:
        route_class = outlined_route(ThreadPoolExecutor(1, "weir-parse"))
        self.open = APIRouter(route_class=route_class)
        self.viewer, self.scorer, self.operator = (
            APIRouter(route_class=route_class, dependencies=[Security(_BEARER)]) for _ in range(3)
        )

    @property
    def by_role(self) -> dict[Role | None, APIRouter]:
        """The routers by the role that is needed; None: none is."""
        return {None: self.open, Role.VIEWER: self.viewer, Role.SCORER: self.scorer, Role.OPERATOR: self.operator}

    def match(self, scope: Scope) -> tuple[BaseRoute, Role | None] | None:
        """Return the route that answers a request, and the role that it needs; None where no route does."""
        for role, router in self.by_role.items():
            for route in router.routes:
                if route.matches(scope)[0] is Match.FULL:
                    return route, role
        return None


async def _caller(request: Request) -> Caller:
    caller: Caller = request.scope[CALLER]
    return caller


async def _name(request: Request) -> str:
    caller: Caller = request.scope[CALLER]
    return caller.name


CallerOf = Annotated[Caller, Depends(_caller)]
Actor = Annotated[str, Depends(_name)]
"""The actor of a change: the name of the token. Nothing that a request contains can set it otherwise."""
