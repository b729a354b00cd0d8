"""What a batch of scores may hold."""

import numpy as np
import pytest

from importance.errors import InvalidInput
from importance.scores import Scores


@pytest.mark.parametrize("wrong", [-1e-9, float("nan"), float("inf")])
def test_a_score_that_would_poison_a_key_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidInput, match="importance of v1 by loss must be"):
        Scores(np.array([1.0, wrong]), "loss", "v1")


@pytest.mark.parametrize("mean", [-1.0, float("nan"), float("inf")])
def test_a_mean_that_cannot_normalise_is_refused(mean: float) -> None:
    with pytest.raises(InvalidInput, match="mean importance of v1"):
        Scores(np.ones(1), "loss", "v1", mean)


@pytest.mark.parametrize("column", ["prediction", "control", "known", "reference"])
def test_a_column_of_another_length_is_refused(column: str) -> None:
    with pytest.raises(InvalidInput, match=f"{column} has shape"):
        Scores(np.ones(2), "loss", "v1", control_model="v0", **{column: np.zeros(3)})  # type: ignore[arg-type]


def test_control_predictions_name_the_version_that_made_them() -> None:
    with pytest.raises(InvalidInput, match="give control_model"):
        Scores(np.ones(1), "loss", "v1", control=np.ones(1))


def test_uniform_scores_need_no_model() -> None:
    scores = Scores.uniform(3, model="v1")
    assert (len(scores), scores.estimator, scores.model, scores.mean_importance) == (3, "uniform", "v1", 1.0)
