import numpy as np
from sklearn.metrics import ndcg_score

from experiments.quality import ndcg


def test_ndcg_equals_sklearn_slate_by_slate() -> None:
    random = np.random.default_rng(3)
    slates = np.repeat(np.arange(20), 15)
    relevance, prediction = random.choice([1.0, 2.33, 3.0], 300), random.random(300)
    expected = [
        ndcg_score([2 ** relevance[slates == slate] - 1], [prediction[slates == slate]], k=10) for slate in range(20)
    ]
    shuffle = random.permutation(300)
    assert abs(ndcg(relevance[shuffle], slates[shuffle], prediction[shuffle]) - np.mean(expected)) < 1e-12


def test_slates_that_cannot_be_ranked_wrongly_do_not_count() -> None:
    relevance, slates = np.array([1.0, 0.0, 1.0, 1.0, 1.0]), np.array([0, 0, 1, 1, 2])
    assert ndcg(relevance, slates, np.array([0.1, 0.9, 0.5, 0.4, 0.3])) == 1 / np.log2(3)
    assert np.isnan(ndcg(relevance[2:], slates[2:], np.array([0.5, 0.4, 0.3])))
