"""Which features are watched, by which test: all names that label the metrics of drift."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Final

import msgspec

from importance.drift.adwin import Adwin
from importance.drift.detector import Detector
from importance.drift.features import Categories, Choices, Feature, Histogram, Mean, RandomFourier
from importance.drift.label_shift import LabelShift
from importance.drift.mmd import Mmd
from importance.drift.page_hinkley import PageHinkley
from importance.drift.psi import Psi
from importance.drift.sketch_key import ALL
from importance.sample import Outcome

_EDGES = 95  # of the histograms: 96 bins, from which ten groups are made


@dataclass(frozen=True, slots=True)
class Source:
    """A feature of samples: how it is summed, and whether it depends on the version that serves.

    The reference of one that does starts again at a promotion or rollback: another version has other losses.
    """

    feature: Feature
    per_version: bool


SOURCES: Final[dict[str, Source]] = {
    "loss": Source(Mean(), per_version=True),  # −ln P(label) of the active version, nats
    "click_rate": Source(Mean(), per_version=False),  # the label, 0 or 1
    # Relative to the mean importance of the version, as the weights are: 1 for an average sample.
    "mean_importance": Source(Mean(), per_version=True),
    "importance": Source(Histogram.logarithmic(1e-3, 1e2, _EDGES), per_version=True),
    "prediction": Source(Histogram.log_odds(0.9999, _EDGES), per_version=True),  # P(label = 1) of the active version
    "text_length": Source(Histogram.logarithmic(1, 1e4, _EDGES), per_version=False),  # characters
    "category": Source(Categories(), per_version=False),
    "price": Source(Histogram.logarithmic(1e-2, 1e5, _EDGES), per_version=False),
    "embedding": Source(RandomFourier(), per_version=False),  # of a model that promotions do not change
    "outcome": Source(Choices(tuple(Outcome)), per_version=False),
}
"""By name, which is the label ``feature`` of the metrics; one name has one way to be summed."""


def _digest(parameters: object) -> str:
    return blake2b(msgspec.json.encode(parameters), digest_size=8).hexdigest()


def layout(sources: Mapping[str, Source]) -> str:
    """Sixteen digits that change with any feature's name, kind or parameter: sums of two layouts must not be added.

    >>> layout({"x": Source(Mean(), per_version=True)}) == layout({"x": Source(Categories(), per_version=True)})
    False
    """
    return _digest({name: (type(source.feature).__name__, source.feature) for name, source in sources.items()})


LAYOUT: Final = layout(SOURCES)
"""Of the sums that this release makes."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """One test on one feature."""

    detector: Detector[Any]
    feature: str

    @property
    def test(self) -> str:
        """The label ``test`` of the metrics."""
        return self.detector.name

    @property
    def source(self) -> Source:
        """The feature that is tested."""
        return SOURCES[self.feature]

    @property
    def fingerprint(self) -> str:
        """Sixteen digits that change with any parameter: a state belongs to the configuration that made it."""
        return _digest([self.test, self.feature, self.detector, self.source.feature])

    def seed(self, block: int, segment: str = ALL) -> int:
        """Return the seed of the permutations at a block, given by its start: the same in every process."""
        text = f"{self.test}/{self.feature}/{block}" + ("" if segment == ALL else f"/{segment}")
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class Spans:
    """How blocks are compared, in blocks; all monitors share it.

    In tests of means a block of fewer samples than ``min_block_samples`` joins the next one; what follows it is of
    two-sample tests, see `importance.drift.two_sample.TwoSample`.
    """

    expected_run_blocks: float
    min_block_samples: int = 30
    reference_blocks: int = 48
    window_blocks: int = 24
    stride: int = 6
    min_samples: int = 200


def monitors(spans: Spans) -> tuple[Monitor, ...]:
    """All monitors, in the order of the metrics; each has its own false alarms, one in ``expected_run_blocks``.

    >>> [f"{monitor.test}:{monitor.feature}" for monitor in monitors(Spans(10_000))][:3]
    ['adwin:loss', 'adwin:click_rate', 'page_hinkley:mean_importance']
    """
    two_sample = asdict(spans)
    means = {"expected_run_blocks": spans.expected_run_blocks, "min_samples": two_sample.pop("min_block_samples")}
    adwin, psi = Adwin(**means), Psi(**two_sample)
    return (
        Monitor(adwin, "loss"),
        Monitor(adwin, "click_rate"),
        Monitor(PageHinkley(**means), "mean_importance"),
        *(Monitor(psi, feature) for feature in ("importance", "prediction", "text_length", "price")),
        Monitor(Psi(**two_sample, groups=0), "category"),
        Monitor(Mmd(**two_sample), "embedding"),
        Monitor(LabelShift(**two_sample), "outcome"),
    )
