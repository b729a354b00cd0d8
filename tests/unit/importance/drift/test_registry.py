"""The names that label metrics, and what belongs to a configuration."""

from importance.drift.detector import Detector
from importance.drift.features import Categories, Mean, RandomFourier
from importance.drift.registry import SOURCES, Monitor, Source, Spans, layout, monitors

SPANS = Spans(10_000)


def test_every_feature_is_watched_and_every_name_is_used_once() -> None:
    labels = [(monitor.test, monitor.feature) for monitor in monitors(SPANS)]
    assert len(set(labels)) == len(labels) == 10
    assert {feature for _, feature in labels} == SOURCES.keys()


def test_only_what_the_active_version_computes_depends_on_it() -> None:
    assert {name for name, source in SOURCES.items() if source.per_version} == {
        *("loss", "mean_importance", "importance", "prediction")
    }


def test_every_monitor_can_read_the_sums_of_its_feature() -> None:
    for monitor in monitors(SPANS):
        detector: Detector = monitor.detector
        assert (monitor.source.feature.dimensions == 1) == (detector.name in ("adwin", "page_hinkley"))


def test_a_fingerprint_changes_with_every_parameter() -> None:
    first, other = monitors(SPANS), monitors(Spans(10_000, reference_blocks=50))
    assert len({monitor.fingerprint for monitor in first}) == len(first)
    for one, two in zip(first, other, strict=True):
        assert (one.fingerprint == two.fingerprint) == (one.detector == two.detector)
    assert first[0].fingerprint == Monitor(first[0].detector, "loss").fingerprint


def test_a_seed_belongs_to_one_test_of_one_feature_at_one_block() -> None:
    seeds = {monitor.seed(block) for monitor in monitors(SPANS) for block in range(100)}
    assert len(seeds) == 1_000
    assert monitors(SPANS)[0].seed(3) == 13_129_417_031_431_118_050


def test_the_layout_of_sums_changes_with_every_name_dimension_and_seed() -> None:
    sources = [
        {"x": Source(RandomFourier(), per_version=False)},
        {"y": Source(RandomFourier(), per_version=False)},
        {"x": Source(RandomFourier(dimensions=32), per_version=False)},
        {"x": Source(RandomFourier(seed=1), per_version=False)},
        {"x": Source(Mean(), per_version=False)},
        {"x": Source(Categories(), per_version=False), "y": Source(Mean(), per_version=False)},
    ]
    assert len({layout(each) for each in sources}) == len(sources)
    assert layout(sources[0]) == layout({"x": Source(RandomFourier(), per_version=True)})
