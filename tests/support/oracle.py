"""What the pure functions of `importance` make of a topic's content: no worker, no database, one reader in order."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from importance.attribution import Join, Record
from importance.decisions import Decisions
from importance.partition_progress import Progress
from importance.quality import week_of
from importance.reservoir import Reservoir, admit
from importance.sample import Sample, label
from importance.scores import Scores
from tests.support.topic import records
from weir.settings import Settings, values

NOW_MS = 1_700_000_000_000  # any moment between the events of 2011 and those of the year 3000 comes to the same


class Oracle:
    """Reads what was sent, and knows what every worker together must come to."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._policy = values.join(settings)
        self._joins: dict[int, Join] = {}
        self.content: dict[int, list[Record]] = defaultdict(list)
        self.decisions: dict[int, Decisions] = {}

    def read(self) -> dict[int, int]:
        """Go on to the end of the topic; gives `next`."""
        since = {partition: join.position for partition, join in self._joins.items()}
        fresh: dict[int, list[Record]] = defaultdict(list)
        for record in records(self._settings.kafka_bootstrap, self._topic, since):
            fresh[record.partition].append((record.offset, record.timestamp, record.value))
        for partition, rows in fresh.items():
            self.content[partition] += rows
            self._feed(partition, rows)
        return self.next

    def _feed(self, partition: int, rows: Sequence[Record]) -> None:
        if partition not in self._joins:
            self._joins[partition] = Join(self._policy, partition, Progress.beginning(0))
            self.decisions[partition] = Decisions(self._joins[partition].progress)
        join = self._joins[partition]
        self.decisions[partition].extend(join.feed(join.position, rows[-1][0] + 1, rows, NOW_MS))

    @property
    def next(self) -> dict[int, int]:
        """The first offset of each partition that cannot be decided yet."""
        return {number: join.progress.next for number, join in self._joins.items() if join.progress.next}

    @property
    def ends(self) -> dict[int, int]:
        """The offset after the last record of each partition."""
        return {number: join.position for number, join in self._joins.items()}

    @property
    def samples(self) -> list[Sample]:
        """All samples, as they were decided."""
        return [sample for decisions in self.decisions.values() for sample in decisions.samples]

    @property
    def positions(self) -> dict[str, tuple[int, int]]:
        """Partition and offset of each sample's impression."""
        return {sample.id: (sample.partition, sample.offset) for sample in self.samples}

    @property
    def dead(self) -> list[tuple[int, int, str]]:
        """Partition, offset and reason of every record that is no event."""
        return [(number, dead.offset, dead.reason) for number, all_ in self.decisions.items() for dead in all_.dead]

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """(Event type, outcome) → records."""
        return sum((decisions.counts for decisions in self.decisions.values()), Counter[tuple[str, str]]())

    @property
    def labels(self) -> dict[str, int]:
        """The label of each sample at its window's close."""
        positive_from = values.positive_from(self._settings)
        return {sample.id: label(sample.actions, positive_from) for sample in self.samples}

    @property
    def labels_by_week(self) -> Counter[tuple[str, int]]:
        """(Week, label at the window's close) → samples."""
        labels = self.labels
        return Counter((week_of(sample.time_ms), labels[sample.id]) for sample in self.samples)

    def buffer(self) -> Reservoir:
        """The buffer after a trim, late actions in it."""
        admission = values.admission(self._settings)
        reservoir = Reservoir(
            values.capacities(self._settings), admission.positive_from, values.subject_capacities(self._settings)
        )
        for decisions in self.decisions.values():
            scores = Scores.uniform(len(decisions.samples))
            reservoir.offer(admit(decisions.samples, scores, admission, reservoir.thresholds()))
            reservoir.correct(decisions.corrections)
        reservoir.trim()
        return reservoir

    def read_again(self, partition: int, committed: int, progress: Progress) -> Decisions:
        """What a worker decides that finds this progress stored, and is sent the records from ``committed`` on."""
        rows = [row for row in self.content[partition] if row[0] >= committed]
        return Join(self._policy, partition, progress).feed(committed, self.ends[partition], rows, NOW_MS)

    def would_lose_from_next(self, partition: int, readings: int = 40) -> bool:
        """Whether a worker that committed what is decided, not what is acknowledged, would come to something else."""
        rows = self.content[partition]
        for read in range(len(rows) // readings, len(rows), len(rows) // readings):
            join = Join(self._policy, partition, Progress.beginning(0))
            join.feed(0, rows[read][0], rows[:read], NOW_MS)
            expected = [sample for sample in self.decisions[partition].samples if sample.offset >= join.progress.next]
            if self.read_again(partition, join.progress.next, join.progress).samples != expected:
                return True
        return False
