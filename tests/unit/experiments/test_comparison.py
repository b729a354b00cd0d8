import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from experiments.comparison import Bootstrap, RunMetric, accuracy_metric, auc_metric

RANDOM = np.random.default_rng(11)
GROUPS = np.repeat(np.arange(300), 3)
LABELS = RANDOM.integers(2, size=900)
PREDICTION = np.clip(0.3 * LABELS + RANDOM.normal(0.4, 0.3, 900), 0, 1)


@pytest.mark.parametrize("figure", [auc_metric, accuracy_metric])
def test_the_parts_of_a_figure_tell_what_drawing_groups_again_does_to_it(figure: object) -> None:
    found = figure(LABELS, PREDICTION, GROUPS)  # type: ignore[operator]
    direct, told = [], []
    for seed in range(200):
        times = np.bincount(np.random.default_rng(seed).integers(300, size=300), minlength=300)
        again = np.repeat(np.arange(900), times[GROUPS])
        direct.append(figure(LABELS[again], PREDICTION[again], GROUPS[again]).value)  # type: ignore[operator]
        told.append(found.value + (times - 1) @ found.parts)
    assert np.corrcoef(direct, told)[0, 1] > 0.99
    assert abs(np.std(told) / np.std(direct) - 1) < 0.1


def test_the_figures_are_the_auc_and_the_accuracy() -> None:
    assert abs(auc_metric(LABELS, PREDICTION, GROUPS).value - roc_auc_score(LABELS, PREDICTION)) < 1e-12
    assert accuracy_metric(LABELS, PREDICTION, GROUPS).value == ((PREDICTION >= 0.5) == LABELS).mean()


def test_intervals_of_a_difference_hold_the_truth_about_as_often_as_they_say() -> None:
    random, held, runs = np.random.default_rng(7), 0, 400
    for _ in range(runs):
        of_example = random.normal(0, 1, 200)  # the same examples in all seeds
        figures = []
        for _ in range(5):
            values = 0.3 + random.normal(0, 0.05) + of_example + random.normal(0, 0.5, 200)
            figures.append(RunMetric(float(values.mean()), (values - values.mean()) / 200))
        nothing = [RunMetric(0.0, np.zeros(200))] * 5
        interval = Bootstrap(200, random, repeats=400).difference(figures, nothing).interval
        held += interval.low <= 0.3 <= interval.high
    assert 0.90 < held / runs < 0.98


def test_a_policy_is_not_better_than_itself_and_a_single_seed_proves_nothing() -> None:
    ours = [auc_metric(LABELS, PREDICTION, GROUPS)] * 5
    draws = Bootstrap(300, np.random.default_rng(0))
    assert draws.difference(ours, ours).p_value == 1.0
    worse = [auc_metric(LABELS, 1 - PREDICTION, GROUPS)] * 5
    assert draws.difference(ours, worse).p_value < 0.01
    assert draws.difference(ours[:1], worse[:1]).p_value == 1.0
