"""Rankings that wait, and the thread that predicts as many of them at once as one pass takes.

Independent of HTTP and of models. What waits is bounded, so that a client is refused at once and not kept waiting; a
ranking that waited for too long is dropped before anything is computed for it, and one whose client left at once.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from threading import Lock
from time import monotonic

from importance.errors import InvalidInput, Unavailable
from importance.sample import Pair
from importance.scores import Predictions
from monitoring.rank_metrics import RankMetrics
from weir.api.limits import Allowance

Predict = Callable[[Sequence[Pair]], tuple[Predictions, int]]
"""pairs → their predictions, and how many of them were known already."""


class Dropped(StrEnum):
    """Why a ranking was not computed."""

    FULL = "full"
    LATE = "late"
    GONE = "gone"


class TooMany(Exception):
    """As many items wait as may."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    pairs: Sequence[Pair]
    arrived: float


class Rankings:
    """The rankings of one model. Safe to be used by several threads; predicts on one of its own.

    At most ``max_items`` wait or are predicted at once; a pass takes ``pass_items`` of them, or one longer ranking. A
    ranking that has waited ``deadline_seconds`` is dropped. ``clock`` returns monotonic seconds.

    A canary, which serves a share of the subjects, has rankings of its own.
    """

    def __init__(
        self,
        predict: Predict,
        metrics: RankMetrics,
        *,
        max_items: int = 20_000,
        pass_items: int = 1_000,
        deadline_seconds: float = 30.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if pass_items < 1:
            raise InvalidInput(f"a pass takes {pass_items} items; it must take at least 1")
        self._predict = predict
        self._metrics = metrics
        self._deadline_seconds = deadline_seconds
        self._pass_items = pass_items
        self._clock = clock
        self._allowed = Allowance(max_items)
        self._waiting: OrderedDict[Future[Predictions], _Waiting] = OrderedDict()  # by answer, in order of arrival
        self._is_predicting = False
        self._changing = Lock()  # of the two above
        self._thread = ThreadPoolExecutor(1, "weir-rank")

    def submit(self, pairs: Sequence[Pair]) -> "Future[Predictions]":
        """Let pairs be predicted; raise TooMany where as many items wait as may.

        The answer may be cancelled. It is Unavailable when it waited for too long, or while no version is served.
        """
        self._take_room(len(pairs))
        answer: Future[Predictions] = Future()
        answer.add_done_callback(partial(self._answered, len(pairs)))
        with self._changing:
            self._waiting[answer] = _Waiting(pairs, self._clock())
            is_idle, self._is_predicting = not self._is_predicting, True
        if is_idle:
            self._thread.submit(self._predict_all)
        return answer

    @contextmanager
    def counted(self, items: int) -> Iterator[None]:
        """Count items as waiting while what they are ranked for is looked up; raise TooMany as `submit` does."""
        self._take_room(items)
        try:
            yield
        finally:
            self._allowed.give_back(items)

    def close(self) -> None:
        """Answer what waits, and end the thread."""
        self._thread.shutdown()

    def _take_room(self, items: int) -> None:
        if not self._allowed.take(items):
            self._metrics.dropped.labels(Dropped.FULL).inc()
            raise TooMany(
                f"{self._allowed.limit} items wait to be ranked, as many as may: "
                "send fewer at once, or raise WEIR_RANK_QUEUE_ITEMS"
            )

    def _answered(self, items: int, answer: "Future[Predictions]") -> None:
        """Drop what waits for an answer that was cancelled, and give its room back, as that of any other."""
        if answer.cancelled():
            self._metrics.dropped.labels(Dropped.GONE).inc()
            with self._changing:
                self._waiting.pop(answer, None)
        self._allowed.give_back(items)

    def _predict_all(self) -> None:
        """Predict what waits, a pass at a time, until nothing does."""
        while taken := self._take():
            self._pass(taken)

    def _pass(self, taken: "Mapping[Future[Predictions], _Waiting]") -> None:
        try:
            predicted, cached = self._predict([pair for waiting in taken.values() for pair in waiting.pairs])
            self._metrics.observe_pass(len(predicted.values), cached)
        except Exception as error:  # of each ranking, whatever it is: a route answers it
            for answer in taken:
                answer.set_exception(error)
            return
        start = 0
        for answer, waiting in taken.items():
            end = start + len(waiting.pairs)
            answer.set_result(Predictions(predicted.version, predicted.values[start:end]))
            self._metrics.seconds.observe(self._clock() - waiting.arrived)
            start = end

    def _take(self) -> "dict[Future[Predictions], _Waiting]":
        """Take rankings in order of arrival, as many as fit a pass, and drop late ones; empty where nothing waits."""
        taken: dict[Future[Predictions], _Waiting] = {}
        room: int | None = None  # the first may be longer than a pass
        while (found := self._first(room)) is not None:
            answer, waiting = found
            if not answer.set_running_or_notify_cancel():
                continue  # its client has just left
            if (waited := self._clock() - waiting.arrived) >= self._deadline_seconds:
                self._metrics.dropped.labels(Dropped.LATE).inc()
                answer.set_exception(_too_late(waited, self._deadline_seconds))
            else:
                taken[answer] = waiting
                room = (self._pass_items if room is None else room) - len(waiting.pairs)
        return taken

    def _first(self, room: int | None) -> "tuple[Future[Predictions], _Waiting] | None":
        """Remove and return what waits longest, where it fits into ``room`` items; None fits all."""
        with self._changing:
            if not self._waiting:
                if room is None:  # else a pass follows, and then another look
                    self._is_predicting = False
                return None
            answer, waiting = next(iter(self._waiting.items()))
            if room is not None and len(waiting.pairs) > room:
                return None
            del self._waiting[answer]
            return answer, waiting


def _too_late(waited: float, deadline: float) -> Unavailable:
    return Unavailable(
        f"the ranking waited {waited:.1f} s, and its deadline is {deadline:g} s: send fewer at once, "
        "add replicas of the api, or raise WEIR_RANK_DEADLINE_SECONDS"
    )
