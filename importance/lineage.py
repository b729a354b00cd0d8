"""Lineage of a version: which samples it was made of, how often, with which weight. Pure values and their encoding.

Samples and subjects are pseudonyms, never names. A million samples of as many subjects take 18 MB.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Self, TypeVar
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from importance.arrays import Booleans, Floats, Integers
from importance.errors import InvalidInput
from importance.pseudonyms import Pseudonyms
from importance.sample import Sample
from importance.weights import effective_sample_size

FORMAT: Final = 1
MINUTE_MS: Final = 60_000


Unsigned = TypeVar("Unsigned", np.uint32, np.uint64)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A lineage in short. Part of its encoding, so that it describes itself.

    ``samples`` of ``subjects`` were in batches, ``draws`` times in all; ``measured`` fitted the estimators' state, in
    batches or not. ``effective_sample_size`` is (Σca)²/Σ(ca)² of times c and weight a. ``strata``: name → share of the
    samples in batches. ``salt``: fingerprint of that of the pseudonyms.
    """

    format: int = FORMAT
    samples: int
    subjects: int
    draws: int
    measured: int
    effective_sample_size: float
    earliest_ms: int | None
    latest_ms: int | None
    strata: dict[str, float]
    salt: int


@dataclass(frozen=True, slots=True)
class Use:
    """What one sample, or all samples of one subject, had in the making of a version.

    ``subject`` is the pseudonym. ``samples`` were in batches, ``draws`` times in all, with a mean ``weight`` over
    these; ``measured`` fitted the estimators' state.
    """

    subject: int
    samples: int
    draws: int
    weight: float
    measured: int


@dataclass(frozen=True, eq=False, slots=True)
class Lineage:
    """n samples that a version was made of, all arrays [n], sorted by subject, then by sample.

    ``minutes``: event times in minutes since the epoch, rounded down; ``times``: in how many batches; ``weights``: the
    loss weight a of each, kept as float16, so within 0.05 %; ``measured``: whether the estimators' state was fitted to
    it.
    """

    samples: Integers
    subjects: Integers
    minutes: NDArray[np.uint32]
    times: NDArray[np.uint32]
    weights: NDArray[np.float16]
    measured: Booleans
    summary: Summary

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        strata: Sequence[str],
        weights: Floats,
        times: Integers,
        measured: Booleans,
        pseudonyms: Pseudonyms,
    ) -> Self:
        """Return the lineage of a version made of these samples [n]; those in no batch and not measured are left out.

        ``weights`` of samples in no batch do not matter.
        """
        weights = np.where(times > 0, weights, 0.0)
        used = np.flatnonzero((times > 0) | measured)
        chosen = [samples[row] for row in used.tolist()]
        ids = pseudonyms.of_samples(sample.id for sample in chosen)
        subjects = pseudonyms.of_subjects(sample.subject for sample in chosen)
        order = np.lexsort((ids.view(np.uint64), subjects.view(np.uint64)))
        minutes = np.fromiter((sample.time_ms // MINUTE_MS for sample in chosen), np.uint32, len(chosen))
        trained = np.flatnonzero(times)
        of_strata = Counter(strata[row] for row in trained.tolist())
        moments = [samples[row].time_ms for row in trained.tolist()]
        return cls(
            ids[order],
            subjects[order],
            minutes[order],
            times[used][order].astype(np.uint32),
            weights[used][order].astype(np.float16),
            measured[used][order],
            Summary(
                samples=len(trained),
                subjects=len(np.unique(subjects[times[used] > 0])),
                draws=int(times.sum()),
                measured=int(measured.sum()),
                effective_sample_size=effective_sample_size(times * weights),
                earliest_ms=min(moments, default=None),
                latest_ms=max(moments, default=None),
                strata={name: count / len(trained) for name, count in sorted(of_strata.items())},
                salt=pseudonyms.fingerprint,
            ),
        )

    def encode(self) -> bytes:
        """Return an archive of NumPy arrays (npz) that holds the summary as JSON next to the columns.

        Sorted subjects are stored as differences, and bytes of one significance together, which compresses best.
        """
        subjects = self.subjects.view(np.uint64)
        differences = np.concatenate([subjects[:1], subjects[1:] - subjects[:-1]])
        archive = BytesIO()
        np.savez_compressed(
            archive,
            summary=np.frombuffer(msgspec.json.encode(self.summary), np.uint8),
            subjects=_by_significance(differences),
            samples=_by_significance(self.samples.view(np.uint64)),
            minutes=_by_significance(self.minutes),
            times=self.times,
            weights=self.weights,
            measured=self.measured,
        )
        return archive.getvalue()


class EncodedLineage:
    """The columns of an encoded lineage, each decoded when it is asked for. Raises InvalidInput for anything else."""

    def __init__(self, encoded: bytes) -> None:
        try:
            self._columns = np.load(BytesIO(encoded), allow_pickle=False)
            self.summary = msgspec.json.decode(self._columns["summary"].tobytes(), type=Summary)
        except (BadZipFile, ValueError, KeyError, EOFError, OSError, msgspec.MsgspecError) as error:
            raise InvalidInput(f"these {len(encoded)} bytes are not a lineage: {error}") from error
        if self.summary.format != FORMAT:
            raise InvalidInput(
                f"the lineage has format {self.summary.format}; this release reads {FORMAT}: use a later one"
            )

    @property
    def subjects(self) -> Integers:
        """Return the pseudonyms of the subjects [n], in ascending order as unsigned numbers."""
        return np.cumsum(_from_planes(self._columns["subjects"], np.uint64), dtype=np.uint64).view(np.int64)

    @property
    def samples(self) -> Integers:
        """Return the pseudonyms of the samples [n]."""
        return _from_planes(self._columns["samples"], np.uint64).view(np.int64)

    @property
    def minutes(self) -> NDArray[np.uint32]:
        """Return the event times [n] in minutes since the epoch, rounded down."""
        return _from_planes(self._columns["minutes"], np.uint32)

    def decode(self) -> Lineage:
        """Return all of it."""
        times, weights, measured = (self._columns[name] for name in ("times", "weights", "measured"))
        return Lineage(self.samples, self.subjects, self.minutes, times, weights, measured, self.summary)

    def use_of_subject(self, subject: int) -> Use | None:
        """Return what a subject's samples had in the making of the version; None where none had a part."""
        return self._use(self.subjects == subject)

    def use_of_sample(self, sample: int) -> Use | None:
        """Return what a sample had in the making of the version; None where it had no part."""
        return self._use(self.samples == sample)

    def _use(self, rows: Booleans) -> Use | None:
        if not rows.any():
            return None
        times, weights = self._columns["times"][rows], self._columns["weights"][rows].astype(np.float64)
        draws = int(times.sum())
        weight = float(times @ weights) / draws if draws else 0.0
        measured = int(self._columns["measured"][rows].sum())
        return Use(int(self.subjects[rows][0]), int(np.count_nonzero(times)), draws, weight, measured)


def _by_significance(numbers: NDArray[Unsigned]) -> NDArray[np.uint8]:
    """Return the b bytes of each of n numbers as [b, n], the most significant first."""
    big = numbers.astype(numbers.dtype.newbyteorder(">"))
    return np.ascontiguousarray(big.view(np.uint8).reshape(-1, numbers.itemsize).T)


def _from_planes(planes: NDArray[np.uint8], kind: type[Unsigned]) -> NDArray[Unsigned]:
    """Undo `_by_significance`."""
    return np.ascontiguousarray(planes.T).view(np.dtype(kind).newbyteorder(">")).ravel().astype(kind)
