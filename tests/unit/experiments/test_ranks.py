import numpy as np

from experiments.ranks import Ranks


def test_one_that_ranks_the_other_way_is_named_with_a_minus_and_only_once() -> None:
    correlation = np.array([[1.0, 0.2, -1.0], [0.2, 1.0, -0.2], [-1.0, -0.2, 1.0]])
    assert Ranks(("entropy", "loss", "output_norm"), correlation).alike() == [("entropy", "−output_norm"), ("loss",)]
