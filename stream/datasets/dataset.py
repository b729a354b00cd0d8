"""A data set to replay: history as labelled samples, the stream as messages. Knows nothing of files or of Kafka."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import msgspec

from importance.sample import Action, Sample
from stream.datasets.shop import Answer, Line, Mapping, Shown, interactions

SURFACE = "recommendation"  # the context is what already lies in the basket, not a search text


class Record(NamedTuple):
    """A message before it is sent; ``time_ms``, its event time, becomes its Kafka timestamp.

    ``key`` decides the partition, unless ``partition`` is given.
    """

    key: bytes | None
    value: bytes | None
    time_ms: int
    partition: int | None = None


@dataclass(frozen=True)
class Dataset:
    """A named source of order lines, mapped to interactions. The same lines and seed give the same bytes.

    ``about`` is one line on origin, licence and making, to be shown wherever a figure from this data set is.
    """

    name: str
    about: str
    mapping: Mapping
    lines: Callable[[], Iterable[Line]]

    def history(self) -> Iterator[Sample]:
        """Labelled samples of the time before the stream, in order of time; a bought one has `Action.PURCHASE`."""
        for number, event in enumerate(interactions(self.lines(), self.mapping)):
            if event.time_ms >= self.mapping.stream_start_ms:
                return
            if isinstance(event, Shown):
                yield _sample(event, number)

    def events(self, limit: int | None = None) -> Iterator[Record]:
        """The stream's messages in order of event time, at most ``limit`` of them."""
        return islice(self._events(), limit)

    def _events(self) -> Iterator[Record]:
        for event in interactions(self.lines(), self.mapping):
            if event.time_ms >= self.mapping.stream_start_ms:
                message = _impression(event) if isinstance(event, Shown) else _action(event)
                yield Record(event.subject.encode(), msgspec.json.encode(message), event.time_ms)


def heartbeat(time_ms: int) -> Record:
    """A message that only moves the event time of the partition that it is sent to."""
    return Record(None, msgspec.json.encode({"type": "heartbeat", "time": time_ms}), time_ms)


def _attributes(shown: Shown) -> dict[str, str | int | float | bool | None]:
    return {"price": shown.product.price, "popularity": shown.popularity, "country": shown.country}


def _impression(shown: Shown) -> dict[str, object]:
    return {
        "id": shown.id,
        "type": "impression",
        "time": shown.time_ms,
        "subject": shown.subject,
        "surface": SURFACE,
        "query": shown.query,
        "item": shown.item,
        "text": shown.product.text,
        "position": shown.position,
        "propensity": shown.propensity,
        "attributes": _attributes(shown),
    }


def _action(answer: Answer) -> dict[str, object]:
    return {
        "id": f"{answer.impression}-{answer.kind}",
        "type": answer.kind,
        "time": answer.time_ms,
        "subject": answer.subject,
        "impression": answer.impression,
    }


def _sample(shown: Shown, offset: int) -> Sample:
    return Sample(
        id=shown.id,
        subject=shown.subject,
        surface=SURFACE,
        query=shown.query,
        item=shown.item,
        text=shown.product.text,
        time_ms=shown.time_ms,
        partition=0,
        offset=offset,
        actions=int(Action.PURCHASE if shown.bought else Action.NONE),
        position=shown.position,
        propensity=shown.propensity,
        attributes=_attributes(shown),
    )
