"""Log finished cells to TensorBoard, Weights & Biases or MLflow, one run for each cell.

The table of results is the record; this is for watching. Each of the three is an optional extra of its own name.
"""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiments.trial import Outcome
from importance.errors import InvalidInput

OnOutcome = Callable[[Outcome], None]

_PARAMETERS = ("dataset", "learner", "policy", "estimator", "rule", "weighted", "keep_ratio", "noise_kind",
               "noise_rate", "seed")  # fmt: skip


def tracker(name: str, directory: Path) -> OnOutcome:
    """Return a function that logs outcomes to the tool of that name; raise InvalidInput if it is unknown or missing.

    Everything is written below ``directory``, unless the tool's own environment variables name a server.
    """
    if name not in _TRACKERS:
        raise InvalidInput(f"--track is {name!r}; it must be one of {', '.join(_TRACKERS)}")
    if find_spec(name) is None:
        raise InvalidInput(f"--track {name} needs the package {name}: pip install 'weirstream[{name}]'")
    return lambda outcome: _TRACKERS[name](directory, outcome)


def _tensorboard(directory: Path, outcome: Outcome) -> None:
    writer = import_module("torch.utils.tensorboard").SummaryWriter(str(directory / "tensorboard" / _key(outcome)))
    try:
        for step, auc in _curve(outcome.record):
            writer.add_scalar("curve/auc", auc, step)
        for metric, value in _metrics(outcome.record).items():
            writer.add_scalar(metric, value, outcome.record["steps"])
    finally:
        writer.close()


def _wandb(directory: Path, outcome: Outcome) -> None:
    wandb = import_module("wandb")
    parameters = _parameters(outcome.record)
    offline = not {"WANDB_MODE", "WANDB_BASE_URL"} & os.environ.keys()  # its default is to upload to wandb.ai
    mode = "offline" if offline else None
    run = wandb.init(project="weir-benchmark", name=_key(outcome), dir=str(directory), config=parameters, mode=mode)
    for step, auc in _curve(outcome.record):
        run.log({"curve/auc": auc}, step=step)
    run.summary.update(_metrics(outcome.record))
    run.finish()


def _mlflow(directory: Path, outcome: Outcome) -> None:
    mlflow = import_module("mlflow")
    if not mlflow.is_tracking_uri_set():
        mlflow.set_tracking_uri(f"sqlite:///{directory / 'mlflow.db'}")
    mlflow.set_experiment("weir-benchmark")
    with mlflow.start_run(run_name=_key(outcome)):
        mlflow.log_params(_parameters(outcome.record))
        for step, auc in _curve(outcome.record):
            mlflow.log_metric("curve_auc", auc, step=step)
        mlflow.log_metrics(_metrics(outcome.record))


_TRACKERS: Mapping[str, Callable[[Path, Outcome], None]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def _key(outcome: Outcome) -> str:
    return str(outcome.record["key"])


def _parameters(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in _PARAMETERS}


def _metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """Return every number that is not a parameter."""
    return {
        name: float(value)
        for name, value in record.items()
        if name not in _PARAMETERS and isinstance(value, int | float)
    }


def _curve(record: Mapping[str, Any]) -> list[tuple[int, float]]:
    return list(zip(record["curve_steps"], record["curve_auc"], strict=True))
