"""``/openapi.json`` and ``/docs``: the description of all routes, for programs and for people."""

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse

from weir.api.context import ApiContext
from weir.api.permissions import Routers

_PATH = "/openapi.json"


def add(routers: Routers, _context: ApiContext) -> None:
    """Add the description, which needs a role as any route does: the framework's own routes would be open to all."""

    @routers.viewer.get(_PATH, include_in_schema=False)
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    @routers.viewer.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        return get_swagger_ui_html(openapi_url=_PATH, title=request.app.title)
