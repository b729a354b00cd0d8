"""Join impressions with the actions that answer them: one partition's records in, decided samples out.

Pure: a function of the records in offset order, whatever the chunks they come in. No I/O, no clock; the state is
rebuilt by reading again from :attr:`Progress.acknowledged`.

Event time T of a partition is the largest min(event's time, Kafka timestamp) read so far, records past the ceiling left
out (``ceilings.py``). For each record T advances first, then what is due is decided, then the record itself is applied:
so a decision never sees where a chunk ends.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Collection, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final

import msgspec

from importance.ceilings import Ceilings
from importance.decisions import DeadRecord, Decisions, LateImpression
from importance.errors import InvalidEvent
from importance.events import ActionEvent, Heartbeat, Impression, Rated, decode
from importance.partition_progress import BEGINNING_OF_TIME_MS, Acknowledgements, Progress
from importance.sample import Correction, Rating, Sample, later
from importance.waiting import Orphan, Policy, Waiting

__all__ = [
    "BEGINNING_OF_TIME_MS",
    "DeadRecord",
    "Decisions",
    "Join",
    "Policy",
    "Progress",
    "Record",
    "Replayed",
    "replay_partition",
]

Record = tuple[int, int, bytes | None]
"""Offset, Kafka timestamp in milliseconds, value."""

_NEVER: Final = 2**63
_offset_of = itemgetter(0)


class Join:
    """The join of one partition, from ``start`` on.

    >>> join = Join(Policy(window_ms=1000, deduplication_ms=1000), partition=0, start=Progress.beginning(0))
    >>> shown = b'''{"id": "i1", "type": "impression", "time": 5000, "subject": "s", "surface": "search",
    ...              "query": "lamp", "item": "p1", "text": "A lamp"}'''
    >>> clicked = b'{"id": "c1", "type": "click", "time": 5500, "subject": "s", "impression": "i1"}'
    >>> join.feed(0, 2, [(0, 5000, shown), (1, 5500, clicked)]).samples
    []
    >>> [(sample.id, sample.actions) for sample in join.advance(6000).samples]
    [('i1', 1)]
    """

    def __init__(self, policy: Policy, partition: int, start: Progress) -> None:
        self._policy = policy
        self._partition = partition
        self._position = start.acknowledged
        reread = start.acknowledged < start.next
        self._event_time_ms = start.acknowledged_event_time_ms if reread else start.event_time_ms
        self._resume = start  # below start.next everything is decided already
        # Half of the bound for what waits, half for the deduplication state of what is decided.
        self._reach = max(policy.max_remembered // 2, 1)
        self._acknowledgements = Acknowledgements(start, self._reach)
        self._ids: dict[str, int] = {}  # id -> own time
        self._ids_sweep = 1024
        self._late: dict[str, int] = {}  # id of an impression that came too late -> until when its actions share that
        self._waiting: deque[Waiting] = deque()  # in offset order
        self._waiting_by_id: dict[str, Waiting] = {}
        self._waiting_bytes = 0
        self._orphans: deque[Orphan] = deque()  # in offset order, and so in order of due_ms
        self._orphans_of: dict[str, list[Orphan]] = {}
        self._alarm_ms = self._alarm_offset = _NEVER  # nothing is due before
        self._ceilings = Ceilings(start)
        self._backfill: Collection[int] = ()  # offsets in the chunk that is read
        self.progress = start

    @property
    def position(self) -> int:
        """Return the offset to be read next."""
        return self._position

    @property
    def event_time_ms(self) -> int:
        """Return event time; ``BEGINNING_OF_TIME_MS`` before the first event."""
        return self._event_time_ms

    @property
    def waiting(self) -> int:
        """Return the number of impressions that are not decided."""
        return len(self._waiting)

    @property
    def oldest_due_ms(self) -> int | None:
        """Return the event time at which the next impression will be decided."""
        return self._waiting[0].due_ms if self._waiting else None

    @property
    def oldest_ms(self) -> int | None:
        """Return the own time of the impression that is decided next."""
        return self._waiting[0].impression.time_ms if self._waiting else None

    def feed(
        self,
        first_offset: int,
        end_offset: int,
        records: Sequence[Record],
        wall_ms: int | None = None,
        backfill: Collection[int] = (),
    ) -> Decisions:
        """Read a chunk: the partition's records from ``first_offset`` up to ``end_offset``, ordered by offset.

        Offsets without a record are gaps (compaction, transaction markers). What was read before is skipped.
        ``wall_ms`` is the wall clock, which limits event time: see ``ceilings.py``; None: no limit.
        ``backfill``: the offsets of records that are sent late on purpose. They are never late: to them it is the time
        at which they are read, for waiting and deduplication.
        """
        decisions = Decisions(self.progress)
        start = max(self._position, first_offset)
        if end_offset <= start:
            return decisions
        start_index = bisect_left(records, start, key=_offset_of)
        fresh = bisect_left(records, self._resume.next, lo=start_index, key=_offset_of)
        unread = bisect_left(records, self._resume.read, lo=fresh, key=_offset_of)
        newest_ms = BEGINNING_OF_TIME_MS
        self._ceilings.at_clock(wall_ms)
        self._backfill = backfill
        if self._position < self._resume.next:
            stored = Decisions(self.progress)  # with the effects that these records had the first time
            newest_ms = self._read(records[start_index:fresh], stored)
            if end_offset >= self._resume.next:
                self._move(self._resume.event_time_ms, stored)  # idle time that the records do not show
        self._position = end_offset
        if fresh < unread:
            known = Decisions(self.progress)
            newest_ms = max(newest_ms, self._read(records[fresh:unread], known))
            known.forget_reading()
            decisions.extend(known)
        newest_ms = max(newest_ms, self._read(records[unread:], decisions))
        self._acknowledgements.add(end_offset, self._event_time_ms, self._forgotten_ms(newest_ms))
        return self._conclude(decisions)

    def advance(self, event_time_ms: int) -> Decisions:
        """Move event time from outside: the partition is read to its end, and the wall clock moves on."""
        decisions = Decisions(self.progress)
        if self._position >= self._resume.next:
            self._move(event_time_ms, decisions)
        return self._conclude(decisions)

    def committed(self) -> None:
        """Forget what only a reader needs that starts before :attr:`progress`, which is stored now.

        Until then such a reader may come: a part of what was decided (:meth:`Decisions.parts`) keeps the old start.
        """
        self._ceilings.forget(self.progress.acknowledged)

    def _forgotten_ms(self, newest_ms: int) -> int:
        """Return the event time from which a chunk no longer affects later records; ``newest_ms``: its latest time.

        Its actions wait for one window at most. Its ids are kept for the horizon, and until then decide which later
        actions are duplicates; those actions wait for another window: hence the sum.
        """
        if newest_ms == BEGINNING_OF_TIME_MS:
            return BEGINNING_OF_TIME_MS
        return max(newest_ms + self._policy.deduplication_ms, self._event_time_ms) + self._policy.window_ms

    def _move(self, event_time_ms: int, decisions: Decisions) -> None:
        self._event_time_ms = max(self._event_time_ms, event_time_ms)
        if self._event_time_ms >= self._alarm_ms:
            self._settle(self._event_time_ms, -1, decisions)

    def _conclude(self, decisions: Decisions) -> Decisions:
        undecided, before_ms = self._position, self._event_time_ms
        if self._waiting:
            undecided, before_ms = self._waiting[0].offset, self._waiting[0].before_ms
        if undecided < self._resume.next:
            undecided, before_ms = self._resume.next, self._resume.event_time_ms
        acknowledged, acknowledged_ms = self._acknowledgements.at(undecided, before_ms)
        read = max(self._position, self._resume.read)
        self.progress = Progress(undecided, before_ms, acknowledged, acknowledged_ms, read, self._ceilings.steps)
        decisions.progress = self.progress
        return decisions

    def _read(self, records: Sequence[Record], decisions: Decisions) -> int:
        """Apply records one by one; returns the latest time that an event with an id names. The hot loop."""
        horizon_ms, now_ms = self._policy.deduplication_ms, self._event_time_ms
        newest_ms = BEGINNING_OF_TIME_MS
        accepted: list[str] = []
        counts, ceilings, backfill, late = decisions.counts, self._ceilings, self._backfill, self._late
        fields = self._policy.fields
        for offset, kafka_time_ms, value in records:
            try:
                event = decode(value, kafka_time_ms, fields)
            except InvalidEvent as error:
                counts["invalid", "dead"] += 1
                decisions.dead.append(DeadRecord(offset, error.reason, str(error)))
                continue
            own_ms, before_ms = event.time_ms, now_ms
            seen_ms = own_ms if own_ms < kafka_time_ms else kafka_time_ms
            if seen_ms > now_ms:
                if seen_ms > ceilings.unquestioned_ms and ceilings.is_past(offset, seen_ms):
                    counts["invalid", "dead"] += 1
                    decisions.dead.append(_ahead(offset, seen_ms))
                    continue
                self._event_time_ms = now_ms = seen_ms
            if now_ms >= self._alarm_ms or offset >= self._alarm_offset:
                self._settle(now_ms, offset, decisions)
            if not isinstance(event, Heartbeat):
                if backfill and offset in backfill:
                    own_ms = max(own_ms, now_ms)
                elif late and isinstance(event, ActionEvent) and late.get(event.impression, now_ms) > now_ms:
                    self._be_late(event, offset, now_ms, decisions)
                    continue
                newest_ms = max(newest_ms, own_ms)
                if self._is_repeat(event.id, own_ms, now_ms - horizon_ms):
                    counts[event.kind, "duplicate"] += 1
                    continue
                if isinstance(event, ActionEvent):
                    self._act(event, offset, now_ms, decisions)
                elif own_ms > now_ms - horizon_ms:
                    record = Waiting(event, offset, own_ms + self._policy.window_ms, before_ms, len(value or b""))
                    self._show(record, decisions)
                else:
                    self._be_late(event, offset, now_ms, decisions)
                    continue
            accepted.append(event.kind)
        counts.update({(kind, "accepted"): count for kind, count in Counter(accepted).items()})
        return newest_ms

    def _is_repeat(self, event_id: str, own_ms: int, forgotten_ms: int) -> bool:
        """Return whether the id is known, and add it, unless its time is past the horizon already.

        Of several times of an id the latest counts, also that of a duplicate: so the deduplication state at an offset
        is a function of the earlier events within the horizon, and reading these again restores it.
        """
        known_ms = self._ids.get(event_id)
        if own_ms > forgotten_ms and (known_ms is None or own_ms > known_ms):
            self._ids[event_id] = own_ms
            if len(self._ids) >= self._ids_sweep:
                self._sweep(forgotten_ms)
        return known_ms is not None and known_ms > forgotten_ms

    def _sweep(self, forgotten_ms: int) -> None:
        """Drop the ids past the horizon, and the oldest ones above the bound. Rare, so that an id costs O(1)."""
        ids = {event_id: own_ms for event_id, own_ms in self._ids.items() if own_ms > forgotten_ms}
        kept = self._policy.max_remembered * 7 // 8
        if len(ids) > kept:
            ids = dict(islice(ids.items(), len(ids) - kept, None))
        self._ids = ids
        self._ids_sweep = min(len(ids) * 3 // 2 + 1024, self._policy.max_remembered + 1)

    def _be_late(self, event: Impression | ActionEvent, offset: int, now_ms: int, decisions: Decisions) -> None:
        """Reject an impression past the horizon, or an action of one: sent again together, they can be joined.

        The impression may be a duplicate of a stored one, so its action still corrects that sample.
        """
        decisions.counts[event.kind, "late"] += 1
        if self._policy.late_letters:
            decisions.dead.append(DeadRecord(offset, "late", f"time is {event.time_ms} ms; event time is {now_ms}"))
        if isinstance(event, ActionEvent):
            decisions.correct(Correction(event.impression, event.action, _rating(event)))
            return
        decisions.late.append(LateImpression(event.time_ms, now_ms))
        if self._policy.late_letters and event.id not in self._waiting_by_id:
            self._late.pop(event.id, None)
            self._late[event.id] = now_ms + self._policy.window_ms
            oldest = next(iter(self._late))  # in order of the time until which they are kept
            if self._late[oldest] <= now_ms or len(self._late) > self._policy.max_remembered:
                del self._late[oldest]

    def _show(self, record: Waiting, decisions: Decisions) -> None:
        """Let an impression wait, with the actions that came before it."""
        impression = record.impression
        self._late.pop(impression.id, None)
        for orphan in self._orphans_of.pop(impression.id, ()):
            orphan.taken = True
            record.actions |= orphan.actions
            record.rating = later(record.rating, orphan.rating)
        self._waiting.append(record)
        if len(self._waiting) == 1:
            self._set_alarm()
        self._waiting_by_id[impression.id] = record
        self._waiting_bytes += record.size
        while len(self._waiting) > self._policy.max_waiting or self._waiting_bytes > self._policy.max_waiting_bytes:
            self._decide(decisions, early=True)

    def _act(self, event: ActionEvent, offset: int, now_ms: int, decisions: Decisions) -> None:
        """Add an action to its impression if that waits; else correct the buffer, and let the action wait."""
        rating = _rating(event)
        record = self._waiting_by_id.get(event.impression)
        if record is not None:
            record.actions |= event.action
            record.rating = later(record.rating, rating)
            return
        decisions.correct(Correction(event.impression, event.action, rating))
        orphan = Orphan(event.impression, offset, now_ms + self._policy.window_ms, event.action, rating)
        self._orphans.append(orphan)
        if len(self._orphans) == 1:
            self._set_alarm()
        self._orphans_of.setdefault(event.impression, []).append(orphan)

    def _settle(self, now_ms: int, offset: int, decisions: Decisions) -> None:
        """Decide the impressions that are due, strictly in offset order, and expire the actions that are due."""
        out_of_reach = offset - self._reach
        while self._waiting:
            head = self._waiting[0]
            early = head.due_ms > now_ms
            if early and head.offset > out_of_reach:
                break
            self._decide(decisions, early)
        while self._orphans:
            orphan = self._orphans[0]
            if orphan.due_ms > now_ms:
                if orphan.offset > out_of_reach:
                    break
                decisions.counts["action", "early"] += not orphan.taken
            self._orphans.popleft()
            if not orphan.taken:
                self._expire(orphan, decisions)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Precompute when the next entry is due, so that the hot loop need not check both queues."""
        self._alarm_ms = self._alarm_offset = _NEVER
        if self._waiting:
            head = self._waiting[0]
            self._alarm_ms = head.due_ms
            self._alarm_offset = head.offset + self._reach
        if self._orphans:
            orphan = self._orphans[0]
            self._alarm_ms = min(self._alarm_ms, orphan.due_ms)
            self._alarm_offset = min(self._alarm_offset, orphan.offset + self._reach)

    def _expire(self, orphan: Orphan, decisions: Decisions) -> None:
        decisions.correct(Correction(orphan.impression, orphan.actions, orphan.rating))
        orphans = self._orphans_of[orphan.impression]
        orphans.pop(0)  # the oldest of its impression: they end in the order in which they came
        if not orphans:
            del self._orphans_of[orphan.impression]

    def _decide(self, decisions: Decisions, early: bool) -> None:
        """Make a sample of the oldest impression and its actions, unless that was done before a restart."""
        head = self._waiting.popleft()
        shown = head.impression
        if self._waiting_by_id.get(shown.id) is head:
            del self._waiting_by_id[shown.id]
        self._waiting_bytes -= head.size
        if head.offset < self._resume.next:
            return
        decisions.decide(
            Sample(
                shown.id,
                shown.subject,
                shown.surface,
                shown.query,
                shown.item,
                shown.text,
                shown.time_ms,
                self._partition,
                head.offset,
                head.actions,
                head.rating,
                shown.position,
                shown.propensity,
                shown.value,
                shown.attributes,
            ),
            head.before_ms,
            early,
        )


def _rating(event: ActionEvent) -> Rating | None:
    return Rating(event.time_ms, event.id, event.value) if isinstance(event, Rated) else None


def _ahead(offset: int, seen_ms: int) -> DeadRecord:
    return DeadRecord(offset, "time_ahead_of_clock", f"time and Kafka timestamp reach {seen_ms} ms")


class Replayed(msgspec.Struct, frozen=True):
    """What a partition's content comes to: ``samples`` as they were decided, and what corrections made of them.

    ``actions`` and ``ratings`` are final, by sample id.
    """

    samples: list[Sample]
    actions: dict[str, int]
    ratings: dict[str, Rating | None]
    dead: list[DeadRecord]
    counts: Counter[tuple[str, str]]
    progress: Progress


def replay_partition(
    records: Sequence[Record], policy: Policy, partition: int = 0, until_ms: int | None = None
) -> Replayed:
    """Read a partition's whole content at once; then, if ``until_ms`` is given, let event time run to it."""
    first, end = (records[0][0], records[-1][0] + 1) if records else (0, 0)
    join = Join(policy, partition, Progress.beginning(first))
    decisions = join.feed(first, end, records)
    if until_ms is not None:
        decisions.extend(join.advance(until_ms))
    final = {sample.id: (sample.actions, sample.rating) for sample in decisions.samples}
    for correction in decisions.corrections:
        if correction.sample_id in final:
            actions, rating = final[correction.sample_id]
            final[correction.sample_id] = actions | correction.actions, later(rating, correction.rating)
    return Replayed(
        samples=decisions.samples,
        actions={sample_id: actions for sample_id, (actions, _) in final.items()},
        ratings={sample_id: rating for sample_id, (_, rating) in final.items()},
        dead=decisions.dead,
        counts=decisions.counts,
        progress=decisions.progress,
    )
