"""Drift: how the stream is summed, what is compared with what, and how many false alarms are accepted."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from weir.settings.sections.base import Seconds, Section

_PERMUTATIONS = 10_000  # the smallest p-value is one in so many


class Drift(Section):
    """Blocks of event time, the reference and the window that are compared, and the rate of false alarms."""

    drift: Literal["on", "off"] = Field(
        default="on", description="whether the stream is summed for drift detection, and the sums are evaluated"
    )
    drift_block_seconds: float = Field(
        default=3600.0, ge=1, le=604_800, description="event time that is summed in one block: what a test sees at once"
    )
    drift_reference_blocks: int = Field(
        default=168, ge=8, le=1_000, description="blocks that are the reference, the first after a restart of the test"
    )
    drift_window_blocks: int = Field(
        default=24, ge=2, le=1_000, description="latest blocks that are compared with the reference"
    )
    drift_expected_run_seconds: Seconds = Field(
        default=90 * 86_400.0,
        description="mean event time between two false alarms of one test of a feature that does not drift",
    )

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        if self.drift_window_blocks > self.drift_reference_blocks:
            bound = f"at most WEIR_DRIFT_REFERENCE_BLOCKS, {self.drift_reference_blocks}"
            yield f"WEIR_DRIFT_WINDOW_BLOCKS is {self.drift_window_blocks}; it must be {bound}"
        least = self.drift_block_seconds * (self.drift_reference_blocks + self.drift_window_blocks)
        stride = max(1, self.drift_window_blocks // 4)
        most = self.drift_block_seconds * stride * _PERMUTATIONS
        if self.drift_expected_run_seconds > most:
            yield (
                f"WEIR_DRIFT_EXPECTED_RUN_SECONDS is {self.drift_expected_run_seconds:g}; it must be at most {most:g}: "
                "10,000 permutations show no smaller p-value; set longer blocks"
            )
        if self.drift_expected_run_seconds < least:
            yield (
                f"WEIR_DRIFT_EXPECTED_RUN_SECONDS is {self.drift_expected_run_seconds:g}; it must be at least "
                f"{least:g}, the length of WEIR_DRIFT_REFERENCE_BLOCKS and WEIR_DRIFT_WINDOW_BLOCKS blocks"
            )
