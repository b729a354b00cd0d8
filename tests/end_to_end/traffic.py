"""A topic's content with everything in it that makes a join hard, from a seed.

Late and early actions, ratings, returns, repeated deliveries, ids used twice, impressions that come too late, and
messages that are no events. Deterministic, so that an oracle can be computed from the topic alone.
"""

import json
import random
from collections.abc import Iterator
from typing import NamedTuple

START_MS = 1_293_840_000_000  # 2011-01-01T00:00:00Z
WORDS = [
    "lamp",
    "clock",
    "heart",
    "candle",
    "bag",
    "tin",
    "bunting",
    "mug",
    "cushion",
    "doormat",
    "wreath",
    "jar",
    "holder",
    "sign",
    "box",
    "bottle",
]
NO_EVENTS = (b"", b"{", b"[]", b'{"id": 7}', b"\xff\xfe", b'{"id": "x", "type": "impression"}')


class Record(NamedTuple):
    """A message before it is sent: ``key`` decides the partition, ``time_ms`` is its Kafka timestamp."""

    key: bytes
    value: bytes
    time_ms: int


def traffic(seed: int, impressions: int, step_ms: int = 2_000, window_ms: int = 60_000) -> Iterator[Record]:
    """Records in order of arrival: about 1.6 a shown impression; closed by nothing (see ``heartbeats``)."""
    rng = random.Random(seed)
    arrivals: list[tuple[int, int, Record]] = []

    def add(arrival_ms: int, subject: str, event: dict[str, object] | bytes) -> None:
        value = event if isinstance(event, bytes) else json.dumps(event).encode()
        arrivals.append((arrival_ms, len(arrivals), Record(subject.encode(), value, arrival_ms)))

    for number in range(impressions):
        now = START_MS + number * step_ms
        subject = f"subject-{rng.randrange(max(4, impressions // 8))}"
        shown = impression(f"i{seed}-{number}", now, subject, rng)
        add(now, subject, shown)
        if rng.random() < 0.03:
            add(now + rng.randrange(window_ms), subject, shown)  # delivered again
        if rng.random() < 0.02:
            late = impression(f"late{seed}-{number}", now - 10 * window_ms, subject, rng)
            add(now, subject, late)
        if rng.random() < 0.35:
            for kind in rng.sample(["click", "add_to_cart", "purchase", "return", "rating"], rng.randint(1, 3)):
                delay = int(rng.choice([-0.2, 0.05, 0.4, 0.9, 1.3, 1.9]) * window_ms)
                answer = action(f"a{seed}-{number}-{kind}", kind, now + max(delay, 0), subject, shown["id"], rng)
                add(max(now + delay, START_MS), subject, answer)
                if rng.random() < 0.1:
                    add(now + abs(delay) + 1_000, subject, answer)
        if rng.random() < 0.02:
            add(now, subject, rng.choice(NO_EVENTS))
    arrivals.sort(key=lambda arrival: arrival[:2])
    for _, _, record in arrivals:
        yield record


def impression(name: str, time_ms: int, subject: str, rng: random.Random) -> dict[str, object]:
    item = rng.randrange(40)
    return {
        "id": name,
        "type": "impression",
        "time": time_ms,
        "subject": subject,
        "surface": rng.choice(["search", "recommendation", "ad"]),
        "query": " ".join(rng.sample(WORDS, 2)),
        "item": f"item-{item}",
        "text": f"{WORDS[item % len(WORDS)]} {WORDS[(item * 7 + 3) % len(WORDS)]}",
        "position": rng.randint(1, 9),
        "attributes": {"price": round(rng.uniform(0.3, 12.0), 2), "popularity": rng.randrange(30)},
    }


def action(name: str, kind: str, time_ms: int, subject: str, shown: object, rng: random.Random) -> dict[str, object]:
    event: dict[str, object] = {"id": name, "type": kind, "time": time_ms, "subject": subject, "impression": shown}
    if kind == "rating":
        event["value"] = rng.randint(1, 5)
    return event


def heartbeat(time_ms: int) -> bytes:
    """A record that only moves its partition's event time."""
    return json.dumps({"type": "heartbeat", "time": time_ms}).encode()
