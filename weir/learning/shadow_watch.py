"""Decide the comparisons on live traffic: promote or reject what is in shadow, propose or carry out a rollback.

All state is in Postgres: a trainer that dies is replaced by one that reads the same results.
"""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic, time

from importance.errors import Conflict, Unavailable
from storage.comparisons import Comparison, Ending, LiveTest
from storage.engine import Engine
from storage.lock import TrainerLock
from storage.registry import Active, Kind, Registry
from trainer.shadow import Verdict, judge_mirror, judge_shadow
from weir.operations import Operations
from weir.process import logs
from weir.settings import Settings
from weir.settings.training import shadow

_log = logs.logger(__name__)
_POLL_SECONDS = 1.0
ACTOR, MIRROR_ACTOR = "trainer", "mirror"


class ShadowWatch:
    """Reads the results at most every second. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        operations: Operations,
        lock: TrainerLock,
        clock: Callable[[], float] = time,
    ) -> None:
        self._registry = Registry(engine)
        self._comparisons = self._registry.comparisons
        self._operations = operations
        self._lock = lock
        self._clock = clock
        self._policy = shadow(settings)
        self._mirror_results = settings.mirror_limit_results if settings.mirror_share > 0 else 0
        self._rolls_back = settings.auto_rollback == "on"
        self._next = monotonic()
        self._in_shadow = False
        self._running: list[int] | None = None

    def poll(self) -> bool:
        """Decide what can be decided; return whether a candidate is in shadow, while which no fine-tune starts."""
        if monotonic() >= self._next:
            running = self._comparisons.running()
            if (ids := [each.id for each in running]) != self._running:
                self._comparisons.forget_ended()
                self._running = ids
            running.sort(key=lambda each: each.test is LiveTest.SHADOW)  # what a mirror test finds ends a shadow
            self._in_shadow = sum(self._decide(each) for each in running) > 0  # decide each
            self._next = monotonic() + _POLL_SECONDS
        return self._in_shadow

    def poll_between_steps(self) -> bool:
        """Poll in the middle of a fine-tune, which continues where Postgres does not answer; return whether it did."""
        due = monotonic() >= self._next
        try:
            self.poll()
        except Unavailable:
            self._next = monotonic() + _POLL_SECONDS
            return False
        return due

    def superseded(self, active: Active, trusted: Active) -> str | None:
        """Return why nothing that is tuned from ``trusted`` since ``active`` can be promoted any more; None if it can.

        Raises Unavailable.
        """
        last = self._registry.last_entry(tuple(Kind))
        if last is not None and last.sequence != active.sequence:
            return f"{last.kind} by {last.actor} before the fine-tune ended: {last.reason}"
        return self.doubt(trusted.version)

    def trusted(self, active: Active) -> Active:
        """Return what a fine-tune starts from and is judged by: the active version, unless its rollback is proposed.

        Then it is the version before, so that nothing that is promoted descends from one that was found to be bad.
        """
        found = self._comparisons.proposal(active.version)
        if found is None:
            return active
        _log.info("training starts from the version before: a rollback is proposed", version=found.version)
        before = self._registry.version(found.version)
        return replace(active, version=before.version, artifact=before.artifact, sha256=before.sha256)

    def doubt(self, version: str) -> str | None:
        """Return the evidence that the one before ``version``, which is active, is better; None without.

        To be asked before the promotion of what was tuned from it, which ends the mirror test.
        """
        proposed = self._comparisons.proposal(version)
        if proposed is not None:
            return proposed.reason
        running = (each for each in self._comparisons.running() if each.test is LiveTest.MIRROR)
        verdicts = (judge_mirror(each.results, self._mirror_results) for each in running if each.against == version)
        return next((verdict.reason for verdict in verdicts if verdict is not None and verdict.activate), None)

    def wake(self) -> None:
        """Read again at the next poll: a fine-tune has ended."""
        self._next = monotonic()

    def _decide(self, comparison: Comparison) -> bool:
        """Return whether it is of a candidate that stays in shadow."""
        if comparison.test is LiveTest.MIRROR:
            self._decide_mirror(comparison)
            return False
        seconds = max(0.0, self._clock() - comparison.started.timestamp())
        verdict = self._spoiled(comparison) or judge_shadow(comparison.results, seconds, self._policy)
        if verdict is None:
            return True
        try:
            if verdict.activate:
                self._operations.promote_new(
                    comparison.version,
                    actor=ACTOR,
                    reason=f"shadow: {verdict.reason}",
                    expected_sequence=comparison.sequence,
                    lock=self._lock,
                )
            else:
                self._registry.reject(comparison.version, verdict.reason)
        except Conflict as error:  # the log has moved meanwhile, which ended the shadow
            _log.info("shadow ended", version=comparison.version, result="superseded", reason=str(error))
            return False
        result = Ending.PROMOTED if verdict.activate else Ending.REJECTED
        _log.info("shadow ended", version=comparison.version, result=result, reason=verdict.reason)
        return False

    def _spoiled(self, comparison: Comparison) -> Verdict | None:
        """Return the verdict on a candidate whose parent is proposed for a rollback since it is in shadow."""
        found = self._comparisons.proposal(comparison.against)
        if found is None or found.ended is None or found.ended < comparison.started:
            return None
        return Verdict(False, f"rollback proposed of {found.against}: {found.reason}")

    def _decide_mirror(self, comparison: Comparison) -> None:
        verdict = judge_mirror(comparison.results, self._mirror_results)
        if verdict is None:
            return
        if not verdict.activate:
            self._comparisons.end(comparison.id, Ending.KEPT, verdict.reason)
            return
        _log.warning("rollback proposed", version=comparison.against, to=comparison.version, reason=verdict.reason)
        if self._rolls_back:
            try:
                self._operations.rollback(
                    comparison.version, actor=MIRROR_ACTOR, reason=verdict.reason, replacing=comparison.against
                )
            except Conflict as error:
                _log.error("rollback not carried out", version=comparison.against, reason=str(error))
        self._comparisons.end(comparison.id, Ending.PROPOSED, verdict.reason)
