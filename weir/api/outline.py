"""Parse a body within bounds before it is validated: off the event loop, and only until its first structural fault.

Pydantic reports every fault, and the standard parser makes an object of every value: a body of a million unknown keys
costs both of them seconds. An outline has a model's field names, the lengths of its lists, and where values are
scalars; msgspec checks a body against it while it parses, and ends at the first fault. What passes is as large as a
valid body at most; pydantic then validates it in milliseconds, and its result is final.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from http import HTTPStatus
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from annotated_types import MaxLen
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from weir.api.problems import Fault, Malformed, escaped, shorten

SMALL_BYTES = 64 * 1024  # parsed in less than a millisecond: not worth another thread

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_Scalar = str | int | float | bool | None


class Outline:
    """The structure of a model's JSON."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._decoder = msgspec.json.Decoder(_structure(model))

    def read(self, body: bytes) -> Any:
        """Parse a body into plain values; raise Malformed at the first structural fault."""
        try:
            return msgspec.to_builtins(self._decoder.decode(body))
        except msgspec.ValidationError as error:
            raise Malformed(_fault(str(error))) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise Malformed(Fault(pointer="", detail=f"it is not valid JSON: {error}")) from None


def outlined_route(threads: Executor) -> type[APIRoute]:
    """Return a route class that parses bodies by the outline of their model; large ones in ``threads``."""

    class OutlinedRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            handler = super().get_route_handler()
            model = _model(self.body_field.field_info.annotation) if self.body_field is not None else None
            if model is None:
                return handler
            outline = Outline(model)

            async def handle(request: Request) -> Response:
                body = await request.body()
                if not body:
                    return await handler(request)
                _require_json(request.headers.get("content-type", ""))
                if len(body) <= SMALL_BYTES:
                    values = outline.read(body)
                else:
                    values = await asyncio.get_running_loop().run_in_executor(threads, outline.read, body)
                return await handler(_Parsed(request, body, values))

            return handle

    return OutlinedRoute


def _require_json(content_type: str) -> None:
    """Refuse a body of another type by 415: without the header FastAPI would take JSON for a string of bytes."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return
    sent = f"the body comes as {shorten(content_type, 100)!r}" if content_type else "the body has no Content-Type"
    remedy = "send it with the header Content-Type: application/json"
    raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{sent}, not as JSON: {remedy}")


class _Parsed(Request):
    """A request whose body is parsed already."""

    def __init__(self, request: Request, body: bytes, values: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._body = body
        self._values = values

    async def json(self) -> Any:
        return self._values


def _model(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _structure(annotation: Any, metadata: tuple[Any, ...] = ()) -> Any:
    """Return the type that msgspec checks a value against: no narrower than what pydantic accepts."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _structure(inner, (*metadata, *more))
    if (model := _model(annotation)) is not None:
        fields = [
            (name, _structure(field.annotation, tuple(field.metadata)) | msgspec.UnsetType, msgspec.UNSET)
            for name, field in model.model_fields.items()
        ]
        return msgspec.defstruct(model.__name__, fields, forbid_unknown_fields=True)
    if get_origin(annotation) is list:
        (item,) = get_args(annotation)
        bound = next((each.max_length for each in metadata if isinstance(each, MaxLen)), None)
        return Annotated[list[_structure(item)], msgspec.Meta(max_length=bound)]  # type: ignore[misc]  # made here
    if get_origin(annotation) in (Union, UnionType) and any(get_origin(each) is list for each in get_args(annotation)):
        raise TypeError(f"{annotation} mixes lists and scalars: extend the outline of bodies first")
    return _Scalar


_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def _fault(message: str) -> Fault:
    """Parse a message of msgspec, which ends in a path, into a fault.

    >>> _fault("Expected `array` of length <= 3 - at `$.samples`").pointer
    '/samples'
    >>> _fault("Object contains unknown field `lable` - at `$.samples[0]`").pointer
    '/samples/0/lable'
    """
    detail, _, path = message.rpartition(" - at `$")
    if not detail:
        detail, path = message, "`"
    parts = re.findall(r"[^.\[\]]+", path[:-1])
    if unknown := _UNKNOWN.fullmatch(detail):
        parts.append(escaped(unknown[1]))
        detail = "Extra inputs are not permitted"
    return Fault(pointer="".join(f"/{part}" for part in parts), detail=detail)
