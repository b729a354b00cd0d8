"""The lineage of each version, in Postgres: which versions a subject or a sample has trained."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa

from importance.errors import InvalidInput, NotFound
from importance.lineage import MINUTE_MS, EncodedLineage, Lineage, Summary, Use
from importance.pseudonyms import Pseudonyms
from storage import tables
from storage.engine import transaction

_lineage, _versions, _erased = tables.model_lineage, tables.versions, tables.erased_subjects
_AT_ONCE = 4  # lineages in memory: each has 18 MB a million samples


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """A version, and what a subject or a sample had in its training.

    ``use`` is None where it had nothing, but a version that this one was tuned from was trained with it.
    """

    version: str
    state: str
    created: datetime
    use: Use | None


class Lineages:
    """The lineage of all versions. Those made under another salt than ``pseudonyms`` has cannot be searched."""

    def __init__(self, engine: sa.Engine, pseudonyms: Pseudonyms) -> None:
        self._engine = engine
        self._pseudonyms = pseudonyms
        self._is_ours = sa.cast(_lineage.c.summary["salt"].astext, sa.BigInteger) == pseudonyms.fingerprint

    def summary(self, version: str) -> Summary:
        """Return the lineage of a version in short; raise NotFound where it has none."""
        wanted = sa.select(_versions.c.version, sa.cast(_lineage.c.summary, sa.Text).label("summary"))
        with transaction(self._engine) as connection:
            return msgspec.json.decode(self._one(connection, wanted, version).summary, type=Summary)

    def lineage(self, version: str) -> Lineage:
        """Return the lineage of a version; raise NotFound where it has none."""
        with transaction(self._engine) as connection:
            found = self._one(connection, sa.select(_versions.c.version, _lineage.c.lineage), version)
        return self._decoded(version, found.lineage).decode()

    def erased(self, version: str) -> int:
        """Count the samples of its lineage that were erased since, or during the training."""
        tombstones = sa.select(_erased.c.subject, _erased.c.until_ms).order_by(_erased.c.subject)
        with transaction(self._engine) as connection:
            found = self._one(connection, sa.select(_versions.c.version, _lineage.c.lineage), version)
            erased = connection.execute(tombstones).all()
        if not erased:
            return 0
        names = np.array([row.subject for row in erased], dtype=np.int64)
        until_ms = np.array([row.until_ms for row in erased], dtype=np.int64)
        lineage = self._decoded(version, found.lineage)
        at = np.minimum(np.searchsorted(names, lineage.subjects), len(names) - 1)
        is_before = lineage.minutes.astype(np.int64) * MINUTE_MS <= until_ms[at]
        return int(np.count_nonzero((names[at] == lineage.subjects) & is_before))

    def unsearchable(self) -> list[str]:
        """Return the versions whose lineage was made under another salt: nothing is found in it."""
        with transaction(self._engine) as connection:
            found = connection.scalars(sa.select(_lineage.c.version).where(~self._is_ours).order_by(_lineage.c.version))
            return list(found)

    def trained_on_subject(self, subject: str) -> list[TrainedVersion]:
        """Return the versions that samples of a subject have trained, and those tuned from them, oldest first."""
        number = self._pseudonyms.of_subject(subject)
        return self._trained(lambda lineage: lineage.use_of_subject(number))

    def trained_on_sample(self, sample_id: str) -> list[TrainedVersion]:
        """Return the versions that a sample has trained, and those tuned from them, oldest first."""
        number = int(self._pseudonyms.of_samples((sample_id,))[0])
        return self._trained(lambda lineage: lineage.use_of_sample(number))

    def _trained(self, use_of: Callable[[EncodedLineage], Use | None]) -> list[TrainedVersion]:
        uses = {version: use for version, lineage in self._all() if (use := use_of(lineage)) is not None}
        if not uses:
            return []
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(_versions).order_by(_versions.c.created, _versions.c.version)).all()
        saw = descendants(uses, {row.version: row.parent for row in rows})
        return [
            TrainedVersion(row.version, row.state, row.created, uses.get(row.version))
            for row in rows
            if row.version in saw
        ]

    def _all(self) -> Iterator[tuple[str, EncodedLineage]]:
        wanted = sa.select(_lineage.c.version, _lineage.c.lineage).where(self._is_ours)
        with transaction(self._engine) as connection:
            for row in connection.execution_options(yield_per=_AT_ONCE).execute(wanted):
                yield row.version, EncodedLineage(row.lineage)

    def _decoded(self, version: str, encoded: bytes) -> EncodedLineage:
        lineage = EncodedLineage(encoded)
        if lineage.summary.salt != self._pseudonyms.fingerprint:
            raise InvalidInput(
                f"the lineage of {version} was recorded under another WEIR_SALT, under which samples and erased "
                f"subjects have other pseudonyms: run the command with WEIR_SALT as it was then"
            )
        return lineage

    def _one(self, connection: sa.Connection, wanted: sa.Select[Any], version: str) -> sa.Row[Any]:
        found = connection.execute(
            wanted.select_from(_versions.outerjoin(_lineage)).where(_versions.c.version == version)
        ).one_or_none()
        if found is None:
            raise NotFound(f"no version {version}: see 'weir models list'")
        if found[1] is None:
            raise NotFound(
                f"version {version} has no lineage: it was not trained here, or before lineages were recorded"
            )
        return found


def record(connection: sa.Connection, version: str, lineage: Lineage) -> None:
    """Store the lineage of a version, in the transaction that registers it."""
    connection.execute(
        sa.insert(_lineage).values(
            version=version, summary=msgspec.to_builtins(lineage.summary), lineage=lineage.encode()
        )
    )


def descendants(roots: Collection[str], parents: Mapping[str, str | None]) -> set[str]:
    """Return these versions and all that were tuned from them; ``parents``: version → parent.

    >>> sorted(descendants({"v2"}, {"v1": None, "v2": "v1", "v3": "v2", "v4": "v1", "v5": "v3"}))
    ['v2', 'v3', 'v5']
    """
    found, others = set(roots), set[str]()
    for version in parents:
        path: list[str] = []
        at: str | None = version
        while at is not None and at not in found and at not in others:
            path.append(at)
            at = parents[at]
        (found if at in found else others).update(path)
    return found
