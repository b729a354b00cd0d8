"""The records of a training run: its inputs, its outcome, and the metrics of its candidate."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Self

from importance.finite import finite_or_none
from storage.runs import Run, RunResult
from trainer.cycle import Candidate
from trainer.gate import OVERALL
from trainer.triggers import Due
from trainer.tuning import Evaluations


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The inputs of a run.

    ``samples``: decided by then, of importance ``mass``; ``watermark``: the last position of the buffer that it read;
    ``sequence``: the promotion log's last entry, None where the record lacks it.
    """

    samples: int
    watermark: int
    sequence: int | None
    mass: float = 0.0

    @classmethod
    def of(cls, run: Run) -> Self:
        """Read the record of a run."""
        sequence = run.inputs.get("sequence")
        mass = float(run.inputs.get("mass", 0.0))  # 0 as well when the column was added to what is decided
        return cls(
            int(run.inputs["samples"]), int(run.inputs["cut"]), None if sequence is None else int(sequence), mass
        )


NOTHING_LEARNED = RunInputs(samples=0, watermark=0, sequence=None)


def run_inputs(due: Due, sequence: int, watermark: int) -> dict[str, object]:
    """Return the record of a run that starts: the inputs of its trigger, and the fields of `RunInputs`."""
    return {**due.inputs, "sequence": sequence, "cut": watermark}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended and why, the version that it registered, if any, and further ``notes`` of its record."""

    result: RunResult
    reason: str
    version: str | None = None
    notes: tuple[str, ...] = ()


def candidate_metrics(candidate: Candidate) -> dict[str, object]:
    """Return the metrics that the registry stores of a candidate: numbers that are not finite become null."""
    difference = candidate.decision.difference
    return {
        "gate": candidate.decision.reason,
        "difference": finite_or_none(difference),
        "training_loss": candidate.tuned.loss,
        **_early_stop(candidate.tuned.evaluations),
        "checks": [check.stored() for check in candidate.decision.checks],
        **(asdict(candidate.evaluation) if candidate.evaluation else {}),
        **({"tasks": {task: asdict(of) for task, of in candidate.by_task.items()}} if candidate.by_task else {}),
    }


def _early_stop(found: Evaluations | None) -> dict[str, object]:
    return {} if found is None else {"early_stop": found.reason, "validation_loss": found.lowest}


def gate_difference(metrics: Mapping[str, Any]) -> float:
    """Return by how much a candidate's AUC exceeded that of the serving version; 0 where that is unknown.

    −∞ where another check than the overall one refused it: what it learned is not continued from.
    """
    if any(check["vetoes"] and not check["passed"] and check["name"] != OVERALL for check in metrics.get("checks", ())):
        return -inf
    return float(metrics.get("difference") or 0.0)
