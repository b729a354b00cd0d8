"""The content of one transaction of a worker: a partition's progress, and everything decided on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from importance.drift.block import Block
from importance.drift.sketch_key import SketchKey
from importance.errors import InvalidInput
from importance.partition_progress import Progress
from importance.quality import CountKey, Counts
from importance.race.standing import Standing
from importance.sample import Correction
from importance.scores import Offer
from importance.shadow import Gains


@dataclass(frozen=True, eq=False, slots=True)
class Flush:
    """The effects of deciding the offsets from ``old_next`` to ``progress.next`` of one partition.

    ``epoch`` is that of the assignment. ``samples`` were decided, of importance ``mass`` (`Scores.mass`); of their
    ``offers`` only those kept are written.
    ``quality`` holds what this flush adds to each array of counts, ``sketches`` what it adds to the sums that drift is
    detected by, ``gains`` what further models gain by subject, ``race`` the results of a race of policies by its name.
    Storing the same flush twice changes nothing.
    """

    partition: int
    epoch: int
    old_next: int
    progress: Progress
    offers: Sequence[Offer] = ()
    corrections: Sequence[Correction] = ()
    quality: Mapping[CountKey, Counts] = field(default_factory=dict)
    samples: int = 0
    sketches: Mapping[SketchKey, Block] = field(default_factory=dict)
    mass: float = 0.0
    gains: Gains = field(default_factory=dict)
    race: Mapping[str, Standing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a flush that equals its repetition: `next` alone shows whether it was stored."""
        moved = self.progress.next - self.old_next
        if moved < 0:
            raise InvalidInput(f"partition {self.partition} would go back from {self.old_next} to {self.progress.next}")
        sums = self.quality or self.sketches or self.gains or self.race
        if not moved and (self.samples or self.offers or sums):
            raise InvalidInput(f"partition {self.partition} decided samples, but stays at offset {self.old_next}")
        if not len(self.offers) <= self.samples <= moved:
            raise InvalidInput(
                f"partition {self.partition} has {len(self.offers)} offers of {self.samples} samples "
                f"from {moved} offsets; each number must be at most the next one"
            )
