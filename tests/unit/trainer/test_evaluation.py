"""Figures of predictions, beside scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from importance.errors import InvalidInput
from trainer.evaluation import evaluate

PREDICTIONS = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 0.25, 0.5, 1.0]))),
    min_size=2,
    max_size=60,
).filter(lambda pairs: len({label for label, _ in pairs}) == 2)


@given(PREDICTIONS)
def test_the_figures_are_those_of_scikit_learn(pairs: list[tuple[int, float]]) -> None:
    labels = np.array([label for label, _ in pairs])
    prediction = np.array([value for _, value in pairs])
    figures, chosen = evaluate(labels, prediction), (prediction >= 0.5).astype(int)
    expected = {
        "accuracy": metrics.accuracy_score(labels, chosen),
        "precision": metrics.precision_score(labels, chosen, zero_division=0.0),
        "recall": metrics.recall_score(labels, chosen),
        "f1": metrics.f1_score(labels, chosen, zero_division=0.0),
        "auc": metrics.roc_auc_score(labels, prediction),
        "pr_auc": metrics.average_precision_score(labels, prediction),
        "log_loss": metrics.log_loss(labels, np.clip(prediction, 1e-7, 1 - 1e-7)),
    }
    for name, value in expected.items():
        assert getattr(figures, name) == pytest.approx(value, abs=1e-6), name


def test_a_calibrated_model_has_no_calibration_error_and_a_boastful_one_has() -> None:
    labels = np.array([0] * 75 + [1] * 25)
    assert evaluate(labels, np.full(100, 0.25)).calibration_error == pytest.approx(0, abs=1e-3)
    assert evaluate(labels, np.full(100, 0.75)).calibration_error == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("labels", [[], [0, 0], [1]])
def test_one_class_alone_cannot_be_evaluated(labels: list[int]) -> None:
    with pytest.raises(InvalidInput, match="two classes"):
        evaluate(np.array(labels, np.int64), np.full(len(labels), 0.5))
