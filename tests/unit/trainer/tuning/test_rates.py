"""How long the first step of each weight is: Adam's is the learning rate, whatever the gradient."""

from dataclasses import replace

import numpy as np
import pytest

from importance.sample import Sample
from tests.unit.trainer.tuning.cases import SMALL, parameters, rows_of
from trainer.tuning import fine_tune
from trainer.version_directory import Model


@pytest.mark.parametrize(("warmup", "decay"), [(0, 1.0), (4, 1.0), (0, 0.5), (10, 0.1)])
def test_the_first_step_is_shorter_by_warm_up_and_by_depth(
    untrained: Model, samples: list[Sample], labels: np.ndarray, warmup: int, decay: float
) -> None:
    """Depths of the built-in network of two blocks: head 0, the blocks 2 and 1, embeddings 3."""
    before = parameters(untrained)
    optimisation = replace(
        SMALL.optimisation, learning_rate=1e-3, warmup_steps=warmup, layer_decay=decay, weight_decay=0.0
    )
    tuning = replace(SMALL, steps=1, optimisation=optimisation)
    after = parameters(fine_tune(untrained, rows_of(samples, labels), tuning, seed=1).model)
    depths = {
        "final.weight": 0,
        "compare.weight": 0,
        "bert.encoder.layer.1.output.dense.weight": 1,
        "bert.encoder.layer.0.output.dense.weight": 2,
        "bert.embeddings.word_embeddings.weight": 3,
    }
    for name, depth in depths.items():
        longest = float((after[name] - before[name]).abs().max())
        assert longest == pytest.approx(1e-3 * decay**depth / max(warmup, 1), rel=0.02), name
