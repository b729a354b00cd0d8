"""What a training run records is read back as it was written."""

from datetime import UTC, datetime

import pytest

from storage.runs import Run, RunResult
from trainer.triggers import Due
from weir.learning.base_version import RejectedCandidate, base_version
from weir.learning.records import RunInputs, gate_difference, run_inputs

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def run(inputs: dict[str, object]) -> Run:
    return Run(1, "amount", inputs, TIME, TIME, RunResult.REJECTED, ["worse"], "v2")


def test_inputs_are_read_as_they_were_recorded() -> None:
    recorded = run_inputs(Due("amount", {"samples": 150, "fresh": 30}), sequence=4, watermark=140)
    assert recorded == {"samples": 150, "fresh": 30, "sequence": 4, "cut": 140}
    assert RunInputs.of(run(recorded)) == RunInputs(samples=150, watermark=140, sequence=4)


def test_a_record_without_a_sequence_belongs_to_no_entry_of_the_log() -> None:
    assert RunInputs.of(run({"samples": 1, "cut": 1})).sequence is None


@pytest.mark.parametrize(
    ("metrics", "difference"), [({}, 0.0), ({"difference": None}, 0.0), ({"difference": -0.2}, -0.2)]
)
def test_an_unknown_difference_counts_as_none(metrics: dict[str, object], difference: float) -> None:
    assert gate_difference(metrics) == difference


@pytest.mark.parametrize(
    ("rejected", "base"),
    [
        pytest.param(None, "v1", id="no candidate was rejected"),
        pytest.param(RejectedCandidate("v2", 3, -0.009), "v2", id="not good enough yet"),
        pytest.param(RejectedCandidate("v2", 3, -0.01), "v1", id="worse by the margin"),
        pytest.param(RejectedCandidate("v2", 3, float("nan")), "v1", id="unknown difference"),
        pytest.param(RejectedCandidate("v2", 2, 0.5), "v1", id="before the last change of the log"),
        pytest.param(RejectedCandidate("v2", None, 0.5), "v1", id="before sequences were recorded"),
    ],
)
def test_a_fine_tune_starts_from_the_last_candidate_that_was_nearly_good_enough(
    rejected: RejectedCandidate | None, base: str
) -> None:
    assert base_version("v1", 3, rejected, margin=0.01) == base
