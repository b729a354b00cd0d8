"""The metrics of predictions by series, from counts."""

from math import isnan

import numpy as np
import pytest

from importance.quality import BINS, Counts, empty_counts
from importance.scores import REFERENCE, SERVING
from storage.quality import Series
from weir.api.shared_state import model_quality, predictor_quality


def counts(*predictions: tuple[int, float]) -> Counts:
    """Counts of predictions, each with its label."""
    found = empty_counts()
    for label, prediction in predictions:
        found[label, int(prediction * BINS)] += 1
    return found


RIGHT = counts((1, 0.9), (0, 0.1))
WRONG = counts((1, 0.2), (0, 0.8))
ONE_CLASS = counts((1, 0.9))


def test_each_version_has_its_own_metrics_and_the_reference_has_no_version() -> None:
    found = model_quality(
        {
            Series("recent", SERVING, "v1", "all"): RIGHT,
            Series("recent", SERVING, "v2", "all"): WRONG,
            Series("recent", REFERENCE, "v1", "known"): RIGHT,
        }
    )
    assert len(found) == 3 * 3
    assert found["auc", "serving", "v1", "all"] == 1
    assert found["auc", "serving", "v2", "all"] == 0
    assert found["auc", "reference", "reference", "known"] == 1


def test_a_predictor_is_measured_over_the_samples_of_all_its_versions() -> None:
    """Of the four pairs of a positive and a negative all but (0.2, 0.8) are in order."""
    found = predictor_quality(
        {Series("recent", SERVING, "v1", "all"): RIGHT, Series("recent", SERVING, "v2", "all"): WRONG}
    )
    assert set(found) == {(name, "serving", "all") for name in ("auc", "log_loss", "calibration_error")}
    assert found["auc", "serving", "all"] == pytest.approx(3 / 4)


def test_summing_changes_no_counts() -> None:
    before = RIGHT.copy()
    predictor_quality({Series("recent", SERVING, "v1", "all"): RIGHT, Series("recent", SERVING, "v2", "all"): WRONG})
    assert np.array_equal(RIGHT, before)


def test_without_one_of_the_classes_there_is_no_auc() -> None:
    found = predictor_quality({Series("recent", SERVING, "v1", "all"): ONE_CLASS})
    assert isnan(found["auc", "serving", "all"])
    assert found["log_loss", "serving", "all"] == pytest.approx(-np.log(0.9), abs=1e-3)
