"""Clients of a ranking endpoint, each with a connection of its own that asks again as soon as it is answered."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

_HOST = "127.0.0.1"
_RETRY_SECONDS = 1.0  # as in Retry-After
_QUERIES = 1_000


@dataclass
class Answers:
    """Answers by status, and the seconds that each ranking took."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, other: "Answers") -> None:
        """Add another process' or round's answers."""
        self.statuses += other.statuses
        self.seconds += other.seconds


Bodies = Callable[[Sequence[str], Random], Iterator[bytes]]


def distinct_items(texts: Sequence[str], rng: Random) -> Iterator[bytes]:
    """Yield rankings of which nothing was seen before: every item's text has a number of its own."""
    while True:
        yield _body(_context(texts, rng), [f"{rng.choice(texts)} {rng.randrange(10**9)}" for _ in range(50)])


def distinct_contexts(texts: Sequence[str], rng: Random) -> Iterator[bytes]:
    """Yield rankings of known items for contexts that come once: recommendations, each for another subject."""
    while True:
        yield _body(_context(texts, rng), rng.sample(texts, 50))


def popular_queries(texts: Sequence[str], rng: Random) -> Iterator[bytes]:
    """Yield rankings for 1,000 queries, the n-th as frequent as 1 / n, each each with its own items."""
    shop = Random(0)
    bodies = [_body(shop.choice(texts), shop.sample(texts, 50)) for _ in range(_QUERIES)]
    weights = list(accumulate(1 / rank for rank in range(1, _QUERIES + 1)))
    while True:
        yield rng.choices(bodies, cum_weights=weights)[0]


TRAFFIC: dict[str, Bodies] = {
    "nothing repeats": distinct_items,
    "items repeat": distinct_contexts,
    "queries repeat": popular_queries,
}


def ask(port: int, traffic: str, texts: Sequence[str], clients: int, seconds: float, seed: int) -> Answers:
    """Let so many clients ask for so long. Runs in a process of its own."""
    return asyncio.run(_ask(port, TRAFFIC[traffic](texts, Random(seed)), clients, seconds))


async def _ask(port: int, bodies: Iterator[bytes], clients: int, seconds: float) -> Answers:
    answers = Answers()
    end = time.monotonic() + seconds
    await asyncio.gather(*(_client(port, bodies, end, answers) for _ in range(clients)))
    return answers


async def _client(port: int, bodies: Iterator[bytes], end: float, answers: Answers) -> None:
    reader, writer = await asyncio.open_connection(_HOST, port)
    while (started := time.monotonic()) < end:
        body = next(bodies)
        writer.write(_HEAD % len(body) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_length(head))
        status = int(head[9:12])
        answers.statuses[status] += 1
        if status == 200:
            answers.seconds.append(time.monotonic() - started)
        elif status == 429:
            await asyncio.sleep(_RETRY_SECONDS)
    writer.close()


_HEAD = b"POST /v1/rank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0])


def _context(texts: Sequence[str], rng: Random) -> str:
    return ", ".join(rng.sample(texts, 3))


def _body(query: str, texts: Sequence[str]) -> bytes:
    items = [{"item": str(number), "text": text} for number, text in enumerate(texts)]
    return json.dumps({"query": query, "surface": "recommendation", "items": items}).encode()
