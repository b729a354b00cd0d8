"""Model versions, which of them is active, and the log of every change. Postgres is the source of truth.

A change is one transaction that holds the pointer's row: the log grows by one entry, states and pointer follow. The log
is append-only; a trigger refuses everything else.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from time import time
from typing import Any

import sqlalchemy as sa

from importance.errors import Conflict, NotFound
from importance.lineage import Lineage
from storage import audit, comparisons, lineage, quarantine, tables
from storage.audit import Action, Author, Via
from storage.comparisons import Comparisons, Ending, LiveTest
from storage.engine import transaction
from storage.lock import TrainerLock
from storage.texts import ACTOR_CHARACTERS, REASON_CHARACTERS, storable


class State(StrEnum):
    """What became of a version."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"  # it passed the gate, and is compared with the active version on live traffic
    ACTIVE = "active"
    RETIRED = "retired"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"


class Kind(StrEnum):
    """What an entry of the log did; `MOVES` are those that change the active version."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"


MOVES = (Kind.PROMOTE, Kind.ROLLBACK)
FREEZES = (Kind.FREEZE, Kind.ROLLBACK)
"""The kinds that freeze training."""

_PROMOTABLE = (State.CANDIDATE, State.SHADOW)

_ACTIONS = {
    Kind.PROMOTE: Action.PROMOTE,
    Kind.ROLLBACK: Action.ROLLBACK,
    Kind.FREEZE: Action.FREEZE,
    Kind.UNFREEZE: Action.UNFREEZE,
}


@dataclass(frozen=True, slots=True)
class Version:
    """A model version: its files (``artifact``, ``sha256``), its metrics, and what a key needs of it.

    ``statistics`` were measured once, at evaluation: the mean importance by estimator, and the like.
    """

    version: str
    parent: str | None
    state: State
    created: datetime
    artifact: str
    sha256: str
    metrics: Mapping[str, Any]
    statistics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Active:
    """The active version, as of entry ``sequence`` of the log."""

    sequence: int
    version: str
    artifact: str
    sha256: str
    frozen: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the promotion log. A freeze moves nothing: its versions are the same, or None before the first."""

    sequence: int
    kind: Kind
    from_version: str | None
    to_version: str | None
    actor: str
    reason: str
    time: datetime


def walk_back(log: Iterable[Entry]) -> list[str]:
    """Return the versions that rollbacks walk back through, the active one last.

    A promotion pushes a version; a rollback pops all above its target. So consecutive rollbacks never return to a
    version that was rolled back:

    >>> at = datetime(2011, 1, 3, tzinfo=UTC)
    >>> moves = [("promote", "v1"), ("promote", "v2"), ("promote", "v3"), ("rollback", "v2"), ("promote", "v4")]
    >>> walk_back(Entry(i, Kind(kind), None, to, "ann", "", at) for i, (kind, to) in enumerate(moves))
    ['v1', 'v2', 'v4']
    """
    stack: list[str] = []
    for entry in log:
        if entry.to_version is None:
            continue
        if entry.kind is Kind.PROMOTE:
            stack.append(entry.to_version)
        elif entry.kind is Kind.ROLLBACK:
            while stack[-1] != entry.to_version:
                stack.pop()
    return stack


def served_at(log: Iterable[Entry], time: datetime) -> str | None:
    """Return the version that was active at a time; None before the first promotion.

    >>> at = [datetime(2011, 1, day, tzinfo=UTC) for day in (3, 5, 9)]
    >>> moves = [Entry(i, Kind.PROMOTE, None, f"v{i}", "ann", "", at[i]) for i in range(3)]
    >>> served_at(moves, datetime(2011, 1, 6, tzinfo=UTC)), served_at(moves, at[2]), served_at(moves[1:], at[0])
    ('v1', 'v2', None)
    """
    before = [entry for entry in log if entry.time <= time]
    return before[-1].to_version if before else None


class Registry:
    """Versions, pointer and log. ``clock`` gives seconds since the epoch; ``via`` is recorded with each change."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time, via: Via = Via.CLI) -> None:
        self._engine = engine
        self._clock = clock
        self._via = via

    @property
    def comparisons(self) -> Comparisons:
        """The comparisons of versions with the active one on live traffic."""
        return Comparisons(self._engine)

    def new_version(self) -> str:
        """Return a name that no version has: v1, v2, … A number that is not used is lost."""
        with transaction(self._engine) as connection:
            return f"v{connection.scalar(tables.version_number.next_value())}"

    def register(
        self,
        version: str,
        artifact: str,
        sha256: str,
        *,
        parent: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        statistics: Mapping[str, Any] | None = None,
        made_of: Lineage | None = None,
        on: sa.Connection | None = None,
    ) -> None:
        """Add a candidate whose files are stored, together with the samples that it was made of.

        With ``on`` that becomes a part of the transaction of a connection.
        """
        values = {
            "version": version,
            "parent": parent,
            "state": State.CANDIDATE,
            "created": self._now(),
            "artifact": artifact,
            "sha256": sha256,
            "metrics": dict(metrics or {}),
            "statistics": dict(statistics or {}),
        }
        with transaction(self._engine) if on is None else nullcontext(on) as connection:
            if _find(connection, version) is not None:
                raise Conflict(f"version {version} is registered already: take a new name")
            if parent is not None and _find(connection, parent) is None:
                raise NotFound(f"no version {parent}, which {version} names as its parent")
            connection.execute(sa.insert(tables.versions).values(values))
            if made_of is not None:
                lineage.record(connection, version, made_of)

    def reject(self, version: str, reason: str = "") -> None:
        """Record that the gate refused a candidate, or that its shadow ended without a promotion, for a reason."""
        with self._changing() as change:
            found = change.version(version)
            if found.state not in _PROMOTABLE:
                raise Conflict(f"version {version} is {found.state}; only a candidate can be rejected")
            for shadow in comparisons.running(change.connection, LiveTest.SHADOW):
                if shadow.version == version:
                    comparisons.end(change.connection, shadow.id, Ending.REJECTED, reason)
            change.set_state(version, State.REJECTED)

    def shadow(self, version: str, *, expected_sequence: int, lock: TrainerLock | None = None) -> None:
        """Let a candidate predict next to the active version until its results decide; conflicts as in `promote`."""
        with self._changing(lock) as change:
            change.require_promotable(version, expected_sequence)
            if change.active is None:
                raise Conflict(f"no version is active that {version} could be compared with: promote it")
            change.set_state(version, State.SHADOW)
            comparisons.start(change.connection, LiveTest.SHADOW, version, change.active, change.sequence)

    def active(self) -> Active | None:
        """Return the active version; None before the first promotion. Reads one row: it may be polled every second."""
        pointer, versions = tables.pointer, tables.versions
        wanted = sa.select(pointer.c.sequence, pointer.c.frozen, versions.c.version, versions.c.artifact,
                           versions.c.sha256).join(versions, pointer.c.version == versions.c.version)  # fmt: skip
        with transaction(self._engine) as connection:
            found = connection.execute(wanted).one_or_none()
        if found is None:
            return None
        return Active(found.sequence, found.version, found.artifact, found.sha256, found.frozen)

    def frozen(self) -> bool:
        """Return whether training is frozen; it can be before the first promotion too."""
        with transaction(self._engine) as connection:
            return bool(connection.scalar(sa.select(tables.pointer.c.frozen)))

    def version(self, version: str) -> Version:
        """Return one version; raise NotFound when there is none of that name."""
        with transaction(self._engine) as connection:
            return _known(connection, version)

    def versions(self) -> list[Version]:
        """Return all versions, oldest first."""
        row = tables.versions
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(row).order_by(row.c.created, row.c.version)).all()
        return [_version(each) for each in found]

    def log(self, version: str | None = None) -> list[Entry]:
        """Return all entries, oldest first; with ``version`` only those that name it."""
        with transaction(self._engine) as connection:
            return _log(connection, version)

    def first_version(self) -> str | None:
        """Return the version that was promoted first, which is the baseline; None before the first promotion."""
        row = tables.promotions
        first = sa.select(row.c.to_version).where(row.c.to_version.is_not(None)).order_by(row.c.sequence).limit(1)
        with transaction(self._engine) as connection:
            return connection.scalar(first)

    def last_entry(self, kinds: Collection[Kind], up_to: int | None = None) -> Entry | None:
        """Return the newest entry of these kinds, at most at sequence ``up_to``; None if there is none."""
        row = tables.promotions
        wanted = sa.select(row).where(row.c.kind.in_(kinds)).order_by(row.c.sequence.desc()).limit(1)
        if up_to is not None:
            wanted = wanted.where(row.c.sequence <= up_to)
        with transaction(self._engine) as connection:
            found = connection.execute(wanted).one_or_none()
        return None if found is None else _entry(found)

    def count(self, kind: Kind) -> int:
        """Return how many entries are of this kind."""
        row = tables.promotions
        with transaction(self._engine) as connection:
            return connection.scalar(sa.select(sa.func.count()).where(row.c.kind == kind)) or 0

    def promote(
        self,
        version: str,
        *,
        expected_sequence: int | None,
        actor: str,
        reason: str,
        lock: TrainerLock | None = None,
    ) -> Entry:
        """Activate a version.

        A trainer gives the ``expected_sequence`` of the log that its fine-tune started with, and its ``lock``: Conflict
        when the log has grown since (a rollback in between wins) or training is frozen, Unavailable when the lock is
        lost; Conflict too when the version descends from one in quarantine. An operator gives None: the change is made
        now, frozen or not, and lifts the quarantine of the version and its ancestors.
        """
        with self._changing(lock) as change:
            change.version(version)
            if expected_sequence is not None:
                change.require_promotable(version, expected_sequence)
            if version == change.active:
                raise Conflict(f"version {version} is active already: nothing was changed")
            if change.active is not None:
                change.set_state(change.active, State.RETIRED)
            change.set_state(version, State.ACTIVE)
            change.lift(change.distrusted(version))
            return change.append(Kind.PROMOTE, version, change.frozen, actor, reason)

    def rollback(self, to: str | None, *, actor: str, reason: str, replacing: str | None = None) -> Entry:
        """Activate an earlier version, by default the previous one, and freeze training.

        Without the freeze the next fine-tune could undo it. The versions above the target are in quarantine from then
        on, but for those that it descends from: it would be refused with them. Raises Conflict when there is no earlier
        version, and when another one than ``replacing`` is active: a program names the version that it found to be bad.
        """
        with self._changing() as change:
            if replacing is not None and replacing != change.active:
                raise Conflict(f"version {change.active} is active, not {replacing}: nothing was rolled back")
            if to is not None:
                change.version(to)
            log = _log(change.connection)
            stack = walk_back(log) or [""]
            below = stack[:-1]
            if to is not None and to == change.active:
                raise Conflict(f"version {to} is active already: nothing was changed")
            if not below:
                raise Conflict(f"no version to roll back to: {_nothing_below(log, change.active)}")
            if to is not None and to not in below:
                raise Conflict(
                    f"version {to} is not among those below the serving one ({', '.join(below)}): promote it instead"
                )
            target = below[-1] if to is None else to
            assert change.active is not None
            change.set_state(change.active, State.ROLLED_BACK)
            change.set_state(target, State.ACTIVE)
            entry = change.append(Kind.ROLLBACK, target, True, actor, reason)
            above = set(stack[len(stack) - stack[::-1].index(target) :])
            trusted = quarantine.ancestors(change.connection, target)
            change.lift(change.distrusted(target))
            quarantine.begin(change.connection, sorted(above.difference(trusted)), entry.sequence, entry.time)
            return entry

    def freeze(self, *, actor: str, reason: str) -> Entry:
        """Stop training: no trainer's candidate is promoted until `unfreeze`."""
        return self._set_frozen(True, actor, reason)

    def unfreeze(self, *, actor: str, reason: str) -> Entry:
        """Resume training."""
        return self._set_frozen(False, actor, reason)

    def _set_frozen(self, frozen: bool, actor: str, reason: str) -> Entry:
        with self._changing() as change:
            if change.frozen == frozen:
                raise Conflict(f"training is {'frozen already' if frozen else 'not frozen'}: nothing was changed")
            return change.append(Kind.FREEZE if frozen else Kind.UNFREEZE, change.active, frozen, actor, reason)

    @contextmanager
    def _changing(self, lock: TrainerLock | None = None) -> Iterator["_Change"]:
        with transaction(self._engine) if lock is None else lock.transaction() as connection:
            pointer = connection.execute(sa.select(tables.pointer).with_for_update()).one()
            yield _Change(connection, pointer.sequence, pointer.version, pointer.frozen, self._now(), self._via)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


@dataclass(frozen=True, slots=True)
class _Change:
    """A transaction that holds the pointer, and the pointer as it found it."""

    connection: sa.Connection
    sequence: int
    active: str | None
    frozen: bool
    now: datetime
    via: Via

    def version(self, version: str) -> Version:
        return _known(self.connection, version)

    def distrusted(self, version: str) -> list[str]:
        """Return what is in quarantine of a version and its ancestors, the nearest first."""
        return quarantine.distrusted(self.connection, version)

    def lift(self, versions: Sequence[str]) -> None:
        """End quarantines, as a part of this change."""
        quarantine.end(self.connection, versions, self.now)

    def require_promotable(self, version: str, expected_sequence: int) -> None:
        """Raise Conflict unless a trainer whose fine-tune started with ``expected_sequence`` may promote."""
        if self.frozen:
            raise Conflict(f"training is frozen; version {version} was not promoted: unfreeze first")
        if self.sequence != expected_sequence:
            raise Conflict(
                f"the promotion log is at {self.sequence}, not at {expected_sequence} as at the start of "
                f"version {version}: start again from the active version"
            )
        if (state := self.version(version).state) not in _PROMOTABLE:
            raise Conflict(f"version {version} is {state}; only a candidate can be promoted by a trainer")
        if distrusted := self.distrusted(version):
            raise Conflict(
                f"version {version} descends from {distrusted[0]}, which is in quarantine after a rollback: "
                f"run 'weir models lift {distrusted[0]}', or train again from the active version"
            )

    def set_state(self, version: str, state: State) -> None:
        row = tables.versions
        self.connection.execute(sa.update(row).where(row.c.version == version).values(state=state))

    def append(self, kind: Kind, to: str | None, frozen: bool, actor: str, reason: str) -> Entry:
        """Grow the log, move the pointer, and record it in the audit log."""
        entry = Entry(
            sequence=self.sequence + 1,
            kind=kind,
            from_version=self.active,
            to_version=to,
            actor=storable("actor", actor, ACTOR_CHARACTERS),
            reason=storable("reason", reason, REASON_CHARACTERS),
            time=self.now,
        )
        values = {name: getattr(entry, name) for name in Entry.__slots__}
        self.connection.execute(sa.insert(tables.promotions).values(values))
        self.connection.execute(sa.update(tables.pointer).values(sequence=entry.sequence, version=to, frozen=frozen))
        self._end_comparisons(entry)
        if kind is Kind.PROMOTE and to is not None and self.active is not None:
            comparisons.start(self.connection, LiveTest.MIRROR, self.active, to, entry.sequence)
        moved = kind in MOVES
        details = {"sequence": entry.sequence} | ({"from": entry.from_version} if moved else {})
        author = Author(entry.actor, self.via, entry.reason)
        audit.record(self.connection, author, _ACTIONS[kind], (to or "") if moved else "", details)
        return entry

    def _end_comparisons(self, entry: Entry) -> None:
        """End a shadow at anything but an unfreeze, and the mirror test when another version becomes active."""
        reason = f"{entry.kind} by {entry.actor}, entry {entry.sequence} of the log"
        for each in comparisons.running(self.connection):
            if each.test is LiveTest.SHADOW and entry.kind is not Kind.UNFREEZE:
                if entry.to_version == each.version:
                    comparisons.end(self.connection, each.id, Ending.PROMOTED, entry.reason)
                else:
                    comparisons.end(self.connection, each.id, Ending.SUPERSEDED, reason)
                    self.set_state(each.version, State.REJECTED)
            elif each.test is LiveTest.MIRROR and entry.kind in MOVES:
                back = entry.kind is Kind.ROLLBACK and entry.to_version == each.version
                comparisons.end(self.connection, each.id, Ending.ROLLED_BACK if back else Ending.SUPERSEDED, reason)


def _nothing_below(log: Sequence[Entry], active: str | None) -> str:
    """Return why, and what to do."""
    if active is None:
        return "none was ever promoted; run 'weir models init'"
    promoted = {entry.to_version for entry in log if entry.kind is Kind.PROMOTE}
    why = f"{active} is the only one that was ever promoted" if len(promoted) < 2 else f"{active} is the first of all"
    return f"{why}; 'weir models promote' lets any of 'weir models list' serve, 'weir models freeze' stops training"


def _find(connection: sa.Connection, version: str) -> Version | None:
    row = tables.versions
    found = connection.execute(sa.select(row).where(row.c.version == version)).one_or_none()
    return None if found is None else _version(found)


def _known(connection: sa.Connection, version: str) -> Version:
    found = _find(connection, version)
    if found is None:
        raise NotFound(f"no version {version}: see 'weir models list'")
    return found


def _version(row: sa.Row[Any]) -> Version:
    return Version(row.version, row.parent, State(row.state), row.created, row.artifact, row.sha256, row.metrics,
                   row.statistics)  # fmt: skip


def _log(connection: sa.Connection, version: str | None = None) -> list[Entry]:
    row = tables.promotions
    wanted = sa.select(row).order_by(row.c.sequence)
    if version is not None:
        wanted = wanted.where((row.c.from_version == version) | (row.c.to_version == version))
    return [_entry(found) for found in connection.execute(wanted)]


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(row.sequence, Kind(row.kind), row.from_version, row.to_version, row.actor, row.reason, row.time)
