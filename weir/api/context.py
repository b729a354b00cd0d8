"""What the routes read and call: objects and callables, assembled by the role."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event

from importance.sample import Sample
from monitoring.metrics import HttpMetrics
from storage.audit import Audit
from storage.buffer_reader import BufferReader
from storage.drift import Drift
from storage.history import Histories
from storage.lineage import Lineages
from storage.quarantine import Quarantine
from storage.registry import Registry
from weir.api.access import Access
from weir.api.limits import Limits
from weir.api.rankings import Rankings
from weir.erasing import Eraser
from weir.operations import Operations
from weir.status.selection import SelectionStatus
from weir.status.service import Status
from weir.status.snapshot import Snapshot
from weir.status.stream_estimates import Estimates

Score = Callable[[Sequence[Sample], Sequence[str]], tuple[str, Mapping[str, Sequence[float]]]]
"""(samples, names of estimators) → (version, each estimator's scores of all samples)."""


@dataclass(frozen=True)
class ApiContext:
    """What the routes need.

    ``rankings`` returns those that a subject belongs to, ``recent_texts`` the texts of the items that it had to do with
    last, oldest first; None where none are kept. ``not_ready`` returns what requests cannot be served without now, each
    with the reason, ``degraded`` what the rest of the service lacks. ``render_metrics`` returns the text of /metrics
    and its content type. ``closing`` ends endless responses.
    """

    access: Access
    audit: Audit
    registry: Registry
    quarantine: Quarantine
    operations: Operations
    reader: BufferReader
    lineages: Lineages
    histories: Histories
    eraser: Eraser
    drift: Drift
    selection: Callable[[], SelectionStatus]
    estimates: Callable[[], Estimates]
    snapshot: Callable[[], Snapshot]
    score: Score
    rankings: Callable[[str | None], Rankings]
    recent_texts: Callable[[str], Sequence[str]] | None
    not_ready: Callable[[], Mapping[str, str]]
    degraded: Callable[[], Sequence[str]]
    status: Callable[[], Status]
    render_metrics: Callable[[], tuple[bytes, str]]
    metrics: HttpMetrics
    limits: Limits = field(default_factory=Limits)
    closing: Event = field(default_factory=Event)
