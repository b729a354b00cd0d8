from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from importance.errors import InvalidInput
from weir.benchmark.tracking import tracker
from weir.benchmark.trial import Outcome

RECORD: dict[str, object] = {
    "key": "loss-0.1-uniform0-0", "dataset": "shop", "learner": "head", "policy": "loss", "estimator": "loss",
    "rule": "top", "weighted": False, "keep_ratio": 0.1, "noise_kind": "uniform", "noise_rate": 0.0, "seed": 0,
    "steps": 20, "auc": 0.75, "curve_steps": [1, 20], "curve_auc": [0.5, 0.75], "scores_right": [3, 4],
}  # fmt: skip


def test_tensorboard_is_told_the_figures_and_the_curve(tmp_path: Path) -> None:
    reason = "the extra tensorboard is not installed"
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=reason)

    tracker("tensorboard", tmp_path)(Outcome(RECORD, np.zeros(2)))
    events = events.EventAccumulator(str(tmp_path / "tensorboard" / "loss-0.1-uniform0-0"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("curve/auc")] == [(1, 0.5), (20, 0.75)]
    assert [(event.step, event.value) for event in events.Scalars("auc")] == [(20, 0.75)]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_tool_that_is_not_installed_is_said_with_what_to_do(name: str, tmp_path: Path) -> None:
    if find_spec(name) is not None:
        pytest.skip(f"{name} is installed here")
    with pytest.raises(InvalidInput, match=rf"pip install 'weirstream\[{name}\]'"):
        tracker(name, tmp_path)


def test_an_unknown_tool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it must be one of tensorboard, wandb, mlflow"):
        tracker("notebook", tmp_path)
