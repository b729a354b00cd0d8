"""A data set to replay: history as labelled samples, the stream as messages. Independent of files and Kafka."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from datasets.interaction import Answer, Shown
from importance.messages import Record
from importance.sample import Sample

SURFACE = "recommendation"  # the context is what is known of the subject, not a search text


@dataclass(frozen=True)
class Dataset:
    """A named source of interactions in order of time. The same source and seed give the same bytes.

    ``about`` is one line on origin, licence and mapping, to be shown with every result from this data set. Impressions
    before ``stream_start_ms`` are history.
    """

    name: str
    about: str
    stream_start_ms: int
    interactions: Callable[[], Iterable[Shown | Answer]]

    def history(self) -> Iterator[Sample]:
        """Yield labelled samples of the time before the stream, in order of time."""
        for number, event in enumerate(self.interactions()):
            if event.time_ms >= self.stream_start_ms:
                return
            if isinstance(event, Shown):
                yield _sample(event, number)

    def events(self, limit: int | None = None) -> Iterator[Record]:
        """Return the stream's messages in order of event time, at most ``limit`` of them."""
        return islice(self._events(), limit)

    def _events(self) -> Iterator[Record]:
        for event in self.interactions():
            if event.time_ms >= self.stream_start_ms:
                message = _impression(event) if isinstance(event, Shown) else _action(event)
                yield Record(event.subject.encode(), msgspec.json.encode(message), event.time_ms)


def _impression(shown: Shown) -> dict[str, object]:
    return {
        "id": shown.id,
        "type": "impression",
        "time": shown.time_ms,
        "subject": shown.subject,
        "surface": SURFACE,
        "query": shown.query,
        "item": shown.item,
        "text": shown.text,
        "position": shown.position,
        "propensity": shown.propensity,
        "attributes": shown.attributes,
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
        text=shown.text,
        time_ms=shown.time_ms,
        partition=0,
        offset=offset,
        actions=int(shown.action),
        position=shown.position,
        propensity=shown.propensity,
        attributes=shown.attributes,
    )
