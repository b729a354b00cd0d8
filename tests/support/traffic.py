"""A topic's content with everything in it that makes a join hard, from a seed.

Late and early actions, ratings, returns, repeated deliveries, ids used twice, impressions that come too late with a
click each, messages that are no events, messages in a shop's own form, and records of a producer that lives in the year
3000. Deterministic, so that an oracle can be computed from the topic alone.
"""

import json
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from importance.sample import Sample
from tests.support.shop import as_shop

START_MS = 1_293_840_000_000  # 2011-01-01T00:00:00Z
YEAR_3000_MS = 32_503_680_000_000
WORDS = [
    *("lamp", "clock", "heart", "candle", "bag", "tin", "bunting", "mug"),
    *("cushion", "doormat", "wreath", "jar", "holder", "sign", "box", "bottle"),
]
ITEMS = 40
NO_EVENTS = (b"", b"{", b"[]", b'{"id": 7}', b"\xff\xfe", b'{"id": "x", "type": "impression"}')


class Record(NamedTuple):
    """A message before it is sent: ``key`` decides the partition, ``time_ms`` is its Kafka timestamp."""

    key: bytes
    value: bytes
    time_ms: int


def traffic(seed: int, impressions: int, step_ms: int = 2_000, window_ms: int = 60_000) -> Iterator[Record]:
    """Records in order of arrival: about 1.7 a shown impression. The last windows stay open: see ``heartbeat``."""
    rng, forms = random.Random(seed), random.Random(~seed)
    arrivals: list[tuple[int, int, Record]] = []

    def add(arrival_ms: int, subject: str, event: dict[str, object] | bytes, ahead_ms: int = 0) -> None:
        if not isinstance(event, bytes):
            event = json.dumps(as_shop(event) if forms.random() < 0.3 else event).encode()
        arrivals.append((arrival_ms, len(arrivals), Record(subject.encode(), event, arrival_ms + ahead_ms)))

    def add_from_the_future(arrival_ms: int, subject: str, number: int) -> None:
        shown = impression(f"ahead{seed}-{number}", YEAR_3000_MS + arrival_ms, subject, forms)
        answer = action(f"a-ahead{seed}-{number}", "click", YEAR_3000_MS + arrival_ms, subject, shown["id"], forms)
        for event in (shown, answer, heartbeat(YEAR_3000_MS + arrival_ms)):
            add(arrival_ms, subject, event, ahead_ms=YEAR_3000_MS)

    for number in range(impressions):
        now = START_MS + number * step_ms
        subject = f"subject-{rng.randrange(max(4, impressions // 8))}"
        shown = impression(f"i{seed}-{number}", now, subject, rng)
        add(now, subject, shown)
        if rng.random() < 0.03:
            add(now + rng.randrange(window_ms), subject, shown)  # delivered again
        if rng.random() < 0.02:
            add(now + rng.randrange(window_ms // 2), subject, {**shown, "text": "another text"})  # an id used twice
        if rng.random() < 0.02:
            late = impression(f"late{seed}-{number}", now - 10 * window_ms, subject, rng)
            add(now, subject, late)
            add(now, subject, action(f"a-late{seed}-{number}", "click", now, subject, late["id"], rng))
        if rng.random() < 0.35:
            for kind in rng.sample(["click", "add_to_cart", "purchase", "return", "rating"], rng.randint(1, 3)):
                delay = int(rng.choice([-0.2, 0.05, 0.4, 0.9, 1.3, 1.9]) * window_ms)
                answer = action(f"a{seed}-{number}-{kind}", kind, now + max(delay, 0), subject, shown["id"], rng)
                add(max(now + delay, START_MS), subject, answer)
                if rng.random() < 0.1:
                    add(now + abs(delay) + 1_000, subject, answer)
        if rng.random() < 0.02:
            add(now, subject, rng.choice(NO_EVENTS))
        if forms.random() < 0.01:
            add_from_the_future(now, subject, number)
    arrivals.sort(key=lambda arrival: arrival[:2])
    for _, _, record in arrivals:
        yield record


def latest_ms(records: Iterable[Record]) -> int:
    """The latest Kafka timestamp but for those of the year 3000."""
    return max(record.time_ms for record in records if record.time_ms < YEAR_3000_MS)


def impression(name: str, time_ms: int, subject: str, rng: random.Random) -> dict[str, object]:
    item = rng.randrange(ITEMS)
    return {
        "id": name,
        "type": "impression",
        "time": time_ms,
        "subject": subject,
        "surface": rng.choice(["search", "recommendation", "ad"]),
        "query": " ".join(rng.sample(WORDS, 2)),
        "item": f"item-{item}",
        "text": text(item),
        "position": rng.randint(1, 9),
        "attributes": {"price": round(rng.uniform(0.3, 12.0), 2), "popularity": rng.randrange(30)},
    }


def text(item: int) -> str:
    """The text of an item."""
    return f"{WORDS[item % len(WORDS)]} {WORDS[(item * 7 + 3) % len(WORDS)]}"


def samples() -> list[Sample]:
    """One sample of each item: what a tokenizer is made of."""
    return [
        Sample(f"item-{item}", "someone", "search", "lamp", f"item-{item}", text(item), START_MS, 0, item)
        for item in range(ITEMS)
    ]


def action(name: str, kind: str, time_ms: int, subject: str, shown: object, rng: random.Random) -> dict[str, object]:
    event: dict[str, object] = {"id": name, "type": kind, "time": time_ms, "subject": subject, "impression": shown}
    if kind == "rating":
        event["value"] = rng.randint(1, 5)
    return event


def heartbeat(time_ms: int) -> bytes:
    """A record that only moves its partition's event time."""
    return json.dumps({"type": "heartbeat", "time": time_ms}).encode()
