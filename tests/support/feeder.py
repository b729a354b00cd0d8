"""A shop that never closes: impressions and clicks in order, as fast as asked, until told to stop."""

import json
import random
from collections.abc import Iterator
from threading import Event, Thread
from types import TracebackType
from typing import Self

from kafka import KafkaProducer

from tests.support.traffic import START_MS, Record, action, impression

STEP_MS = 2_000  # event time between two visits: a window of a minute closes after thirty more


def visits(
    first: int, count: int, start_ms: int = START_MS, step_ms: int = STEP_MS, click_share: float = 0.4,
    taste: float = 0, shown: int = 1, subjects: int = 500,
) -> Iterator[Record]:  # fmt: skip
    """Visits number ``first`` and on: impressions, and a share of them clicked. The last thirty stay open.

    ``taste`` is how much more than this share the items of an even number are clicked, and others less.
    """
    for number in range(first, first + count):
        rng, at = random.Random(number), start_ms + number * step_ms
        subject = f"subject-{rng.randrange(subjects)}"
        for place in range(shown):
            name = f"visit-{number}" if shown == 1 else f"visit-{number}-{place}"
            events = [impression(name, at, subject, rng)]
            if rng.random() < click_share * (1 + taste * (-1) ** int(str(events[0]["item"])[-1])):
                events.append(action(f"{name}-click", "click", at + 500, subject, name, rng))
            for event in events:
                yield Record(subject.encode(), json.dumps(event).encode(), at)


_PATIENCE_MS = 600_000  # longer than a broker is ever away here: what is sent arrives, once and in order


class Feeder:
    """Sends visits to ``topic`` from a thread of its own for the length of a ``with`` block, or until ended.

    ``click_share`` and ``taste`` may be changed meanwhile. A visit of one of ``subjects`` has ``shown`` impressions.
    """

    def __init__(
        self, kafka: str, topic: str, per_second: int, start_ms: int = START_MS, step_ms: int = STEP_MS,
        taste: float = 0.0, shown: int = 1, subjects: int = 500,
    ) -> None:  # fmt: skip
        self.click_share, self.taste = 0.4, taste
        self._start_ms, self._step_ms = start_ms, step_ms
        self._shown, self._subjects = shown, subjects
        self._kafka, self._topic, self._per_second = kafka, topic, per_second
        self._visits = 0
        self._stop = Event()
        self._thread = Thread(target=self._feed, name="feeder", daemon=True)

    def _feed(self) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self._kafka, acks="all", linger_ms=20,
            delivery_timeout_ms=_PATIENCE_MS, max_block_ms=_PATIENCE_MS,
        )  # fmt: skip
        at_once = self._per_second // 10
        while not self._stop.wait(0.1):
            now = (self._start_ms, self._step_ms, self.click_share, self.taste, self._shown, self._subjects)
            for key, value, at in visits(self._visits, at_once, *now):
                producer.send(self._topic, value, key, timestamp_ms=at)
            self._visits += at_once
        producer.close()

    def end(self) -> int:
        """Send no more; how many visits the broker has."""
        self._stop.set()
        self._thread.join()
        return self._visits

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(30)
