"""Errors as problem details of RFC 9457, those of the framework included."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from importance.errors import BadArtifact, Conflict, InvalidInput, NotFound, Unavailable, WeirError

_log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = {HTTPStatus.SERVICE_UNAVAILABLE: "5", HTTPStatus.TOO_MANY_REQUESTS: "1"}

# An answer is small, whatever was sent: these bound what it repeats of a request.
MAX_FAULTS = 10
_MAX_DETAIL = 1_000
_MAX_POINTER = 200

_STATUS: dict[type[WeirError], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    BadArtifact: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Fault(BaseModel):
    """One wrong part of a request: ``pointer`` into the body (RFC 6901, "" the whole of it), or a ``parameter``'s name.

    A long one is shortened, as it may hold what the client wrote.
    """

    pointer: str | None = None
    parameter: str | None = None
    detail: str

    @property
    def location(self) -> str:
        """Where it is, in words.

        >>> [Fault(pointer=pointer, detail="").location for pointer in ("", "/text")]
        ['the body', '/text']
        """
        return f"parameter {self.parameter}" if self.parameter is not None else self.pointer or "the body"


class Problem(BaseModel):
    """RFC 9457. ``type`` is always about:blank: the kind is the status; ``detail`` has what, value, bound, remedy."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None


class Malformed(Exception):
    """A body that was refused before its values were validated, for its first fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


DOCUMENTED: dict[str, object] = {
    "model": Problem,
    "description": "A problem: what, the value, the bound, the remedy",
    "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def problem(
    status: HTTPStatus, detail: str, errors: list[Fault] | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer for one error, of bounded size."""
    shown = None if errors is None else [_shortened(fault) for fault in errors[:MAX_FAULTS]]
    body = Problem(title=status.phrase, status=status, detail=shorten(detail, _MAX_DETAIL), errors=shown)
    extra = {"Retry-After": RETRY_SECONDS[status]} if status in RETRY_SECONDS else {}
    return JSONResponse(
        body.model_dump(exclude_none=True), status, {**extra, **(headers or {})}, media_type=CONTENT_TYPE
    )


def shorten(text: str, length: int) -> str:
    """Shorten ``text`` to at most ``length`` characters.

    >>> shorten("abcdef", 6), shorten("abcdefg", 6)
    ('abcdef', 'abcde…')
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def _shortened(fault: Fault) -> Fault:
    pointer = None if fault.pointer is None else shorten(fault.pointer, _MAX_POINTER)
    return Fault(pointer=pointer, parameter=fault.parameter, detail=shorten(fault.detail, _MAX_DETAIL))


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` by a problem."""
    app.add_exception_handler(WeirError, _weir_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Malformed, _malformed)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(Exception, _unexpected)


async def _weir_error(_request: Request, error: Exception) -> JSONResponse:
    kinds = [kind for kind in type(error).__mro__ if kind in _STATUS]
    if not kinds:
        return await _unexpected(_request, error)
    return problem(_STATUS[kinds[0]], str(error))


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    return _malformation([_fault(each["loc"], each["msg"]) for each in found[:MAX_FAULTS]], len(found))


async def _malformed(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Malformed)
    return _malformation([error.fault], 1)


def _malformation(faults: list[Fault], count: int) -> JSONResponse:
    """Return the answer for ``count`` faults, of which ``faults`` are the first."""
    shown = map(_shortened, faults[:3])
    detail = "; ".join(f"{fault.location}: {fault.detail}" for fault in shown)
    more = f"; and {count - 3} more" if count > 3 else ""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the request is malformed: {detail}{more}", faults)


async def _framework_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, path = HTTPStatus(error.status_code), shorten(request.url.path, _MAX_POINTER)
    details = {
        HTTPStatus.NOT_FOUND: f"there is no {path}; /docs lists what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{path} does not take {request.method}; see header Allow, or /docs",
    }
    return problem(status, details.get(status, str(error.detail)), headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    route = getattr(request.scope.get("route"), "path", "an unknown path")  # the path itself may name a subject
    _log.error("%s %s failed", request.method, route, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an internal error; the log of the role api has its traceback")


def _fault(location: tuple[str | int, ...], detail: str) -> Fault:
    """Return what FastAPI found at ``location``: the part of the request, then the path within it.

    >>> _fault(("body", "samples", 3, "text"), "").pointer, _fault(("body",), "").pointer
    ('/samples/3/text', '')
    >>> _fault(("query", "limit"), "").parameter
    'limit'
    """
    if location[0] == "body":
        return Fault(pointer="".join(f"/{escaped(str(part))}" for part in location[1:]), detail=detail)
    return Fault(parameter=str(location[-1]), detail=detail)


def escaped(name: str) -> str:
    """Escape a name for a JSON pointer.

    >>> escaped("a/b~c")
    'a~1b~0c'
    """
    return name.replace("~", "~0").replace("/", "~1")
