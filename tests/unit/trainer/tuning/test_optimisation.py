"""Parameters that cannot train are refused."""

import pytest

from importance.errors import InvalidInput
from trainer.tuning import FineTuning, Optimisation


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: FineTuning(steps=0),
        lambda: FineTuning(fresh_share=1.5),
        lambda: FineTuning(fresh_share=float("nan")),
        lambda: Optimisation(batch_size=0),
        lambda: Optimisation(learning_rate=float("nan")),
        lambda: Optimisation(clip_norm=0.0),
        lambda: Optimisation(warmup_steps=-1),
        lambda: Optimisation(layer_decay=0.0),
        lambda: Optimisation(layer_decay=float("nan")),
        lambda: Optimisation(micro_batches=0),
        lambda: Optimisation(average_decay=1.0),
        lambda: Optimisation(average_decay=float("nan")),
    ],
)
def test_settings_that_cannot_train_are_refused(wrong) -> None:
    with pytest.raises(InvalidInput):
        wrong()
