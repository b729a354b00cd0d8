"""Rankings that wait, and the thread that predicts as many of them at once as one pass takes.

Independent of HTTP and of models. What waits is bounded, so that a client is refused at once and not kept waiting; a
ranking that waited for too long, or whose client left, is dropped before anything is computed for it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
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


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting:
    pairs: Sequence[Pair]
    arrived: float
    answer: "Future[Predictions]" = field(default_factory=Future)


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
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, "weir-rank")

    def submit(self, pairs: Sequence[Pair]) -> "Future[Predictions]":
        """Let pairs be predicted; raise TooMany where as many items wait as may.

        The answer may be cancelled. It is Unavailable when it waited for too long, or while no version is served.
        """
        if not self._allowed.take(len(pairs)):
            self._metrics.dropped.labels(Dropped.FULL).inc()
            raise TooMany(
                f"{self._allowed.limit} items wait to be ranked, as many as may: "
                "send fewer at once, or raise WEIR_RANK_QUEUE_ITEMS"
            )
        waiting = _Waiting(pairs, self._clock())
        waiting.answer.add_done_callback(lambda _: self._allowed.give_back(len(pairs)))
        self._waiting.append(waiting)
        self._thread.submit(self._pass)
        return waiting.answer

    def close(self) -> None:
        """Answer what waits, and end the thread."""
        self._thread.shutdown()

    def _pass(self) -> None:
        """Predict what waits, up to a pass. Runs once for each ranking: it finds none where another took it along."""
        taken = self._take()
        if not taken:
            return
        try:
            predicted, cached = self._predict([pair for waiting in taken for pair in waiting.pairs])
        except Exception as error:  # of each ranking, whatever it is: a route answers it
            for waiting in taken:
                waiting.answer.set_exception(error)
            return
        self._metrics.observe_pass(len(predicted.values), cached)
        start = 0
        for waiting in taken:
            end = start + len(waiting.pairs)
            waiting.answer.set_result(Predictions(predicted.version, predicted.values[start:end]))
            self._metrics.seconds.observe(self._clock() - waiting.arrived)
            start = end

    def _take(self) -> list[_Waiting]:
        """Take rankings in order of arrival, as many as fit a pass; drop those that nobody waits for."""
        taken: list[_Waiting] = []
        items = 0
        while self._waiting and (not taken or items + len(self._waiting[0].pairs) <= self._pass_items):
            waiting = self._waiting.popleft()
            if not waiting.answer.set_running_or_notify_cancel():
                self._metrics.dropped.labels(Dropped.GONE).inc()
            elif (waited := self._clock() - waiting.arrived) >= self._deadline_seconds:
                self._metrics.dropped.labels(Dropped.LATE).inc()
                waiting.answer.set_exception(_too_late(waited, self._deadline_seconds))
            else:
                taken.append(waiting)
                items += len(waiting.pairs)
        return taken


def _too_late(waited: float, deadline: float) -> Unavailable:
    return Unavailable(
        f"the ranking waited {waited:.1f} s, and its deadline is {deadline:g} s: send fewer at once, "
        "add replicas of the api, or raise WEIR_RANK_DEADLINE_SECONDS"
    )
