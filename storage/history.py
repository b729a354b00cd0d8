"""All that is known of one sample: its row, the versions that learned from it, and whether its subject was erased.

A sample that has no row was rejected at admission, evicted or erased, or it is not decided, or was never sent. Of a
rejected sample nothing is stored, so these can be told apart only as far as the lineage of a version has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from importance.errors import NotFound
from importance.pseudonyms import Pseudonyms
from storage import tables
from storage.buffer_reader import BufferReader, Explained
from storage.engine import transaction
from storage.erasure import Erasure
from storage.lineage import Lineages, TrainedVersion


class Standing(StrEnum):
    """Whether a sample is in the buffer, and as far as it is known why not."""

    HELD = "held"
    LEAVING = "leaving"  # its key fell to the threshold: the next trim deletes it
    LEFT = "left"  # a version learned from it, and it was evicted since
    ERASED = "erased"  # a version learned from it, and its subject was erased
    UNKNOWN = "unknown"  # rejected, evicted, erased, not decided yet, or never sent


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a sample. ``row`` is None unless it is stored; ``stored_at`` None also where it is not known.

    ``versions`` learned from it, or were tuned from one that did; the lineage of those ``unsearchable`` was made under
    another salt. ``erased``: when its subject was.
    """

    id: str
    standing: Standing
    row: Explained | None
    stored_at: datetime | None
    versions: list[TrainedVersion]
    unsearchable: Sequence[str]
    erased: datetime | None = None

    @property
    def why(self) -> str:
        """Return one sentence on why it is in the buffer, or not, and how far that is known."""
        if self.unsearchable:
            return f"{self._why}; {', '.join(self.unsearchable)} cannot be searched: made under another WEIR_SALT"
        return self._why

    @property
    def _why(self) -> str:
        if self.row is not None:
            row = self.row
            order = "above" if self.standing is Standing.HELD else "not above"
            bound = f"key {row.key:.6g} is {order} the threshold {row.threshold:.6g} of {row.stratum}"
            chance = f"it is held with probability {row.probability:.4g}"
            return f"{bound}: {chance if row.in_buffer else 'the next trim deletes it'}"
        if self.standing is Standing.ERASED:
            return f"its subject was erased at {self.erased:%Y-%m-%d %H:%M:%S}Z"
        if self.standing is Standing.LEFT:
            return "a version learned from it, and it was evicted since, or came from the history of a first version"
        return (
            "not stored, and no version learned from it: it was rejected at admission, evicted or erased, is not "
            "decided yet, or was never sent; of a rejected sample only the topic of scores has a record"
        )


class Histories:
    """Reads the history of samples."""

    def __init__(self, engine: sa.Engine, pseudonyms: Pseudonyms) -> None:
        self._engine = engine
        self._reader = BufferReader(engine)
        self._lineages, self._erasure = Lineages(engine, pseudonyms), Erasure(engine, pseudonyms)

    def of(self, sample_id: str) -> History:
        """Return what is known of a sample, also where that is nothing."""
        versions, unsearchable = self._lineages.trained_on_sample(sample_id), self._lineages.unsearchable()
        try:
            row = self._reader.explain(sample_id)
        except NotFound:
            return self._of_absent(sample_id, versions, unsearchable)
        standing = Standing.HELD if row.in_buffer else Standing.LEAVING
        return History(sample_id, standing, row, self._stored_at(sample_id), versions, unsearchable)

    def _of_absent(self, sample_id: str, versions: list[TrainedVersion], unsearchable: Sequence[str]) -> History:
        if not versions:
            return History(sample_id, Standing.UNKNOWN, None, None, versions, unsearchable)
        subjects = {version.use.subject for version in versions if version.use is not None}
        erased = max((each.erased for each in self._erasure.tombstones(list(subjects)).values()), default=None)
        standing = Standing.LEFT if erased is None else Standing.ERASED
        return History(sample_id, standing, None, None, versions, unsearchable, erased)

    def _stored_at(self, sample_id: str) -> datetime | None:
        row = tables.samples
        with transaction(self._engine) as connection:
            return connection.scalar(sa.select(row.c.stored_at).where(row.c.id == sample_id))
