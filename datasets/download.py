"""Fetch one file over HTTP: resumed, retried, and checked by its sha256."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx

from importance.checksums import sha256_of
from importance.errors import Unavailable


class Source(NamedTuple):
    """Where a file is and what it must be. ``size_bytes`` is for the progress bar only."""

    url: str
    sha256: str
    size_bytes: int


def fetch(
    source: Source,
    target: Path,
    progress: Callable[[str, int, int], None] | None = None,
    attempts: int = 4,
    timeout_seconds: float = 20.0,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """Download to ``target`` through ``target``.part, which a later call continues. Raises Unavailable."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(attempts):
        try:
            _continue(source, part, progress, timeout_seconds)
            break
        except httpx.HTTPStatusError as error:
            problem = f"{source.url} answers {error.response.status_code}"
            if error.response.is_client_error:
                raise Unavailable(problem) from error
        except httpx.TransportError as error:
            problem = f"{httpx.URL(source.url).host} does not answer ({str(error) or type(error).__name__})"
        if attempt == attempts - 1:
            raise Unavailable(f"{problem}, tried {attempts} times")
        wait(2.0**attempt)
    found = sha256_of(part)
    if found != source.sha256:
        part.unlink()
        raise Unavailable(f"{source.url} gave a file of sha256 {found}; it must be {source.sha256}")
    part.replace(target)
    return target


def _continue(source: Source, part: Path, progress: Callable[[str, int, int], None] | None, timeout: float) -> None:
    """Ask for what is missing; a server that sends everything instead starts the file again."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with httpx.stream("GET", source.url, headers=headers, timeout=timeout, follow_redirects=True) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing, or the checksum will not fit
        response.raise_for_status()
        is_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
        have = have if is_rest else 0
        with part.open("ab" if is_rest else "wb") as file:
            for block in response.iter_raw():  # as received: a bigger block would be lost with the connection
                file.write(block)
                have += len(block)
                if progress:
                    progress("downloading", have, source.size_bytes)
