"""What learns from the shop."""

from pathlib import Path

import pytest

from experiments.head import HeadLearners
from experiments.learner import Learners
from experiments.transformer import TransformerLearners
from tests.unit.experiments.shop import shop, vectors
from trainer.device import use_threads


@pytest.fixture(params=["head", "transformer"])
def learners(request: pytest.FixtureRequest, tmp_path: Path) -> Learners:
    """Both kinds, over the shop."""
    use_threads()
    if request.param == "head":
        return HeadLearners(vectors(shop()))
    return TransformerLearners(shop(), tmp_path)
