"""What may be learned from."""

import numpy as np
import pytest

from importance.errors import InvalidInput
from importance.sample import Sample
from trainer.tuning import TrainingRows


def test_rows_of_different_length_are_refused(samples: list[Sample], labels: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="one length"):
        TrainingRows(samples, labels[1:], np.ones(len(samples)), np.ones(len(samples), bool))
