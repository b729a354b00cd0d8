"""What learns from the shop."""

from pathlib import Path

import pytest

from tests.unit.weir_benchmark.shop import shop, vectors
from trainer.device import use_threads
from weir.benchmark.head import HeadLearners
from weir.benchmark.learner import Learners
from weir.benchmark.transformer import TransformerLearners


@pytest.fixture(params=["head", "transformer"])
def learners(request: pytest.FixtureRequest, tmp_path: Path) -> Learners:
    """Both kinds, over the shop."""
    use_threads()
    if request.param == "head":
        return HeadLearners(vectors(shop()))
    return TransformerLearners(shop(), tmp_path)
