"""The training weights of rows that were drawn."""

from collections.abc import Sequence

import numpy as np

from importance.arrays import Floats
from importance.propensity import exposure
from importance.sample import Sample
from importance.weights import TrainingWeights, training_weights
from weir.settings import Settings, values


def row_weights(settings: Settings, samples: Sequence[Sample], probability: Floats) -> TrainingWeights:
    """Return the weights that undo a draw of these samples, held by ``probability`` [n], over all its rows.

    Age and propensity count as the settings say. Raises InvalidInput as `training_weights` does.
    """
    return training_weights(
        probability,
        np.array([sample.time_ms for sample in samples], np.int64),
        values.half_life_seconds(settings),
        exposure(samples, settings.propensity_clip),
    )
