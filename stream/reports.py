"""Reports of a worker process: frozen values, passed to one ``report`` callable.

Independent of metrics, logs and routes; `weir.roles` converts reports to them.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from importance.decisions import LateImpression
from importance.scores import Offer

KAFKA = "kafka"
STORAGE = "storage"


class Scored(NamedTuple):
    """A call of the scorer; ``non_finite`` of the samples had a score that was not finite, and was replaced."""

    samples: int
    seconds: float
    non_finite: int


@dataclass(frozen=True)
class CommittedBatch:
    """One durable batch of one partition.

    ``counts``: (event type, outcome) → records. ``dead``: the reason of each dead letter. ``scored``: the calls of
    the scorer. ``corrections`` may repeat an earlier one; they are idempotent. ``late``: what came too late.
    ``seconds``: from the arrival of the oldest chunk in it, or of the time that closed its windows, until all of it was
    durable. ``erased``: samples that were dropped, as their subject was erased.
    """

    partition: int
    counts: Mapping[tuple[str, str], int]
    offers: Sequence[Offer]
    corrections: int
    dead: Sequence[str]
    scored: Sequence[Scored]
    seconds: float = 0.0
    late: Sequence[LateImpression] = ()
    erased: int = 0


@dataclass(frozen=True)
class LagReport:
    """Lag of the assigned partitions; a partition that is missing here is not assigned to this process.

    ``lag``: end − next offset to read, in records. ``waiting``: impressions whose window is open. ``undecided``: the
    lag, and what was read and is not decided. ``event_times_ms``: event time, of those that have one; ``oldest_ms``:
    the own time of the impression that is decided next.
    """

    lag: Mapping[int, int]
    waiting: Mapping[int, int]
    undecided: Mapping[int, int]
    event_times_ms: Mapping[int, int] = field(default_factory=dict)
    oldest_ms: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A dependency (``kafka``, ``storage``) became unavailable, or recovered. Sent once per change."""

    dependency: str
    available: bool
    reason: str


@dataclass(frozen=True)
class Lost:
    """Another process took the partition over, detected by fencing; nothing of the last batch was stored."""

    partition: int
    reason: str


@dataclass(frozen=True)
class Failed:
    """The worker ends with a status other than 0 because of ``error``, so that its supervisor restarts it."""

    error: BaseException


@dataclass(frozen=True)
class Skipped:
    """Records of a partition that will never be read: those from ``known`` on, before ``first``.

    The log no longer has them; or the store was unavailable when reading started, and the group had committed past what
    it holds.
    """

    partition: int
    known: int
    first: int


Report = CommittedBatch | LagReport | Change | Lost | Failed | Skipped


class Availability:
    """Reduces many failures and successes to one :class:`Change` when a dependency fails, and one when it recovers.

    Several tasks use the same dependency; it is unavailable while at least one of them reports so. Some are probes:
    they only ask for an answer, and so distinguish an unavailable dependency from work that it never accepts.
    """

    def __init__(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._complaints: dict[str, dict[Hashable, str]] = {}
        self._probes: dict[str, Hashable] = {}

    @property
    def reasons(self) -> dict[str, str]:
        """Return dependency → why it counts as unavailable; empty when all are available."""
        return {name: next(iter(reasons.values())) for name, reasons in self._complaints.items() if reasons}

    def unavailable(self, dependency: str, witness: Hashable, reason: str) -> None:
        """Record that ``witness`` cannot reach ``dependency``."""
        complaints = self._complaints.setdefault(dependency, {})
        first = not complaints
        complaints[witness] = reason
        if first:
            self._report(Change(dependency, available=False, reason=reason))

    def recovered(self, dependency: str, witness: Hashable) -> None:
        """Record that ``witness`` reached ``dependency``, or no longer tries to."""
        complaints = self._complaints.get(dependency)
        if complaints and complaints.pop(witness, None) is not None and not complaints:
            self._report(Change(dependency, available=True, reason=f"{dependency} answers again"))

    def probed(self, dependency: str, probe: Hashable, trouble: str | None) -> None:
        """Record the result of the only ``probe`` of ``dependency``: None when it answered, else why that failed."""
        self._probes[dependency] = probe
        if trouble is None:
            self.recovered(dependency, probe)
        else:
            self.unavailable(dependency, probe, trouble)

    def is_unavailable(self, dependency: str) -> bool:
        """Return whether the dependency itself is: by its probe; without a probe, by any task."""
        complaints = self._complaints.get(dependency, {})
        return self._probes[dependency] in complaints if dependency in self._probes else bool(complaints)

    def forget(self, witness: Hashable) -> None:
        """Drop the reports of ``witness``, which has ended."""
        for dependency in self._complaints:
            self.recovered(dependency, witness)
