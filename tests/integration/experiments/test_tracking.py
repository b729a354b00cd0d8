"""What the tracking tools themselves read back of a finished trial."""

from pathlib import Path

import numpy as np
import pytest

from experiments.tracking import tracker
from experiments.trial import Outcome

RECORD: dict[str, object] = {
    "key": "loss-0.1-uniform0-0", "dataset": "shop", "learner": "head", "policy": "loss", "estimator": "loss",
    "rule": "top", "weighted": False, "keep_ratio": 0.1, "noise_kind": "uniform", "noise_rate": 0.0, "seed": 0,
    "steps": 20, "auc": 0.75, "curve_steps": [1, 20], "curve_auc": [0.5, 0.75], "scores_right": [3, 4],
}  # fmt: skip
OUTCOME = Outcome(RECORD, np.zeros(2))


@pytest.mark.filterwarnings("ignore")  # the tools' own, of the libraries that they use
def test_tensorboard_reads_back_the_metrics_and_the_curve(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker("tensorboard", tmp_path)(OUTCOME)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "loss-0.1-uniform0-0"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("curve/auc")] == [(1, 0.5), (20, 0.75)]
    assert [(event.step, event.value) for event in events.Scalars("auc")] == [(20, 0.75)]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_back_the_metrics_and_the_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    mlflow.set_tracking_uri(None)  # that of another test in this process
    monkeypatch.chdir(tmp_path)
    tracker("mlflow", tmp_path / "out")(OUTCOME)
    assert (tmp_path / "out" / "mlflow.db").exists()
    (run,) = mlflow.search_runs(experiment_names=["weir-benchmark"], output_format="list")
    assert run.info.run_name == "loss-0.1-uniform0-0"
    assert (run.data.params["policy"], run.data.metrics["auc"]) == ("loss", 0.75)
    curve = mlflow.MlflowClient().get_metric_history(run.info.run_id, "curve_auc")
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (20, 0.75)]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    mlflow.set_tracking_uri(None)
