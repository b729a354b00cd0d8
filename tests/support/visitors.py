"""Clients that ask a service the same things all the time, and when they were answered what."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Self

import httpx

_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 300  # far longer than any answer may take: it is measured how long one takes


@dataclass(frozen=True)
class Request:
    """What a visitor asks."""

    method: str
    url: str
    body: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Answer:
    """What came, when it was asked for (monotonic seconds), and how long it took. Status 0: the connection broke."""

    asked: float
    seconds: float
    status: int
    retry_after: str | None


class Visitor(Thread):
    """Asks one thing again and again for the length of a ``with`` block, one request at a time."""

    def __init__(self, name: str, request: Request) -> None:
        super().__init__(name=name, daemon=True)
        self.answers: list[Answer] = []
        self._request = request
        self._ended = Event()

    def run(self) -> None:
        with httpx.Client(timeout=_PATIENCE_SECONDS) as client:
            while not self._ended.wait(_PAUSE_SECONDS):
                self.answers.append(self._ask(client))

    def _ask(self, client: httpx.Client) -> Answer:
        asked, request = time.monotonic(), self._request
        try:
            found = client.request(request.method, request.url, json=request.body)
        except httpx.TransportError:
            return Answer(asked, time.monotonic() - asked, 0, None)
        return Answer(asked, time.monotonic() - asked, found.status_code, found.headers.get("retry-after"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(_PATIENCE_SECONDS)

    def during(self, began: float, ended: float) -> list[Answer]:
        """Answers to what was asked, or still waited, between two moments."""
        return [each for each in self.answers if each.asked + each.seconds >= began and each.asked <= ended]

    def first(self, status: int, after: float) -> float | None:
        """Seconds from ``after`` to the first answer of that status that came later; None when none did."""
        found = (
            x.asked + x.seconds - after for x in self.answers if x.status == status and x.asked + x.seconds > after
        )
        return next(found, None)


def told(answers: Sequence[Answer]) -> str:
    """Answers in a line: how many of each status, and the longest time of each."""
    counts = Counter(each.status for each in answers)
    longest = {status: max(each.seconds for each in answers if each.status == status) for status in counts}
    return ", ".join(f"{count} × {status} (≤ {longest[status]:.1f} s)" for status, count in sorted(counts.items()))
