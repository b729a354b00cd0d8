"""The gate: when a candidate may be promoted."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from weir.settings.sections.buffer import MIN_SAMPLES, Buffer, holdout_capacity


class Gate(Buffer):
    """The gate's test; extends the buffer, whose holdout bounds the samples that the test may require."""

    gate_margin: float = Field(
        default=0.01, ge=0, le=0.5, description="AUC that a candidate may at most be worse than the serving model"
    )
    gate_alpha: float = Field(default=0.05, gt=0, lt=0.5, description="one-sided level of that test")
    gate_least_samples: int = Field(
        default_factory=lambda known: max(4, min(MIN_SAMPLES, _capacity(known) // 2)),
        ge=4,
        le=1_000_000_000,
        description="holdout samples the test needs at least; default: 200, or half of their capacity if that is less",
    )
    gate_size_ratio: float = Field(
        default=2.0,
        ge=0,
        le=1000,
        description="times as large as the serving model that a candidate may be; 0: any size",
    )
    gate_latency_ratio: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="times as slow as the serving model that a candidate may be; 0: not measured, as it is noisy",
    )

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        if self.gate_least_samples > (capacity := _capacity(dict(self))):
            yield (
                f"WEIR_GATE_LEAST_SAMPLES is {self.gate_least_samples}; it must be at most {capacity}, the capacity of "
                "the holdout (WEIR_HOLDOUT_CAPACITY_SHARE of WEIR_BUFFER_CAPACITY), or no candidate would ever be "
                "promoted"
            )


def _capacity(known: Mapping[str, Any]) -> int:
    return holdout_capacity(known["buffer_capacity"], known["holdout_capacity_share"])
