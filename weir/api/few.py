"""Bound how many requests do something heavy at once: those beyond are refused for now, and others are served."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import HTTPException

from weir.api.limits import Allowance


@contextmanager
def one_of_few(under_way: Allowance, what: str, remedy: str) -> Iterator[None]:
    """Count a request for the length of a block; 429 where as many as may are under way.

    >>> with one_of_few(Allowance(0), "requests read lineages", "ask less often"):
    ...     pass
    Traceback (most recent call last):
    fastapi.exceptions.HTTPException: 429: 0 requests read lineages, as many as may: ask less often
    """
    if not under_way.take():
        detail = f"{under_way.limit} {what}, as many as may: {remedy}"
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, detail)
    try:
        yield
    finally:
        under_way.give_back()
