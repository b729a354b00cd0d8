"""The role that each route needs, by the router that it is declared at; and the name of the caller in a route."""

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Security, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from storage.tokens import Role
from weir.api.access import Caller
from weir.api.outline import outlined_route

CALLER = "weir.caller"
"""The key of the scope of a request where `guard.Authenticated` leaves its `Caller`."""

# Only declares the scheme in the description: who asks is found out before a body is read.
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
            APIRouter(route_class=route_class, dependencies=[Depends(_permit(role))])
            for role in (Role.VIEWER, Role.SCORER, Role.OPERATOR)
        )

    @property
    def by_role(self) -> dict[Role | None, APIRouter]:
        """The routers by the role that is needed; None: none is."""
        return {None: self.open, Role.VIEWER: self.viewer, Role.SCORER: self.scorer, Role.OPERATOR: self.operator}


def _permit(needed: Role) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return a dependency that refuses callers whose role does not permit a route that needs ``needed``."""

    async def permit(
        request: Request, _declared: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> None:
        caller: Caller = request.scope[CALLER]
        if not caller.may(needed):
            raise HTTPException(
                status.HTTP_403_FORBIDDEN,
                f"this needs the role {needed}, and the token {caller.name} has the role {caller.role}",
                {"WWW-Authenticate": f'Bearer realm="weir", error="insufficient_scope", scope="{needed}"'},
            )

    return permit


async def _caller(request: Request) -> Caller:
    caller: Caller = request.scope[CALLER]
    return caller


async def _name(request: Request) -> str:
    caller: Caller = request.scope[CALLER]
    return caller.name


CallerOf = Annotated[Caller, Depends(_caller)]
Actor = Annotated[str, Depends(_name)]
"""The actor of a change: the name of the token. Nothing that a request contains can set it otherwise."""
