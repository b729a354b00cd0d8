"""What a batch of scores may hold."""

import numpy as np
import pytest

from importance.errors import InvalidInput
from importance.scores import BASELINE, REFERENCE, SERVING, Predictions, Scores


@pytest.mark.parametrize("wrong", [-1e-9, float("nan"), float("inf")])
def test_a_score_that_would_poison_a_key_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidInput, match="importance of v1 by loss must be"):
        Scores(np.array([1.0, wrong]), "loss", "v1")


@pytest.mark.parametrize("mean", [-1.0, float("nan"), float("inf")])
def test_a_mean_that_cannot_normalise_is_refused(mean: float) -> None:
    with pytest.raises(InvalidInput, match="mean importance of v1"):
        Scores(np.ones(1), "loss", "v1", mean)


@pytest.mark.parametrize("predictor", [SERVING, BASELINE, REFERENCE, "shadow"])
def test_predictions_of_another_length_are_refused(predictor: str) -> None:
    with pytest.raises(InvalidInput, match=f"{predictor} predictions have shape"):
        Scores(np.ones(2), "loss", "v1", predictions={predictor: Predictions("v0", np.zeros(3))})


def test_known_items_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidInput, match="known has shape"):
        Scores(np.ones(2), "loss", "v1", known=np.zeros(3, dtype=bool))


def test_uniform_scores_need_no_model() -> None:
    scores = Scores.uniform(3, model="v1")
    assert scores.predictions == {}
    assert (len(scores), scores.estimator, scores.model, scores.mean_importance) == (3, "uniform", "v1", 1.0)
