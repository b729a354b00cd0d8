"""The buffer: its capacity, how strata divide it, and how a sample's weight decays."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal

from pydantic import Field

from importance.errors import InvalidInput
from importance.segments import parse as parse_segments
from weir.settings.sections.base import Section, Share

MIN_SAMPLES = 200  # required by training and gate where the buffer's capacity allows it


class Buffer(Section):
    """Capacity, strata, segments and hashes of the buffer."""

    buffer_capacity: int = Field(
        default=10_000, ge=4, le=1_000_000_000, description="samples the buffer holds, over all strata"
    )
    subject_share: float = Field(
        default=0.03, gt=0, le=1, description="share of a stratum's capacity that one subject may fill; 1: no bound"
    )
    half_life_seconds: float = Field(
        default=14 * 86_400.0,
        ge=0,
        le=1e10,
        description="event time in which a sample's weight halves; 0: no decay, else at least 60",
    )
    holdout_share: float = Field(
        default=0.1, gt=0, lt=1, description="share of subjects whose samples never train, chosen by hash"
    )
    uniform_share: float = Field(
        default=0.2, ge=0, lt=1, description="share of the other samples that are kept by chance alone, chosen by hash"
    )
    holdout_capacity_share: Share = Field(default=0.2, description="share of the capacity for the stratum holdout")
    uniform_capacity_share: Share = Field(default=0.2, description="share of the capacity for the stratum uniform")
    positive_capacity_share: Share = Field(
        default=0.3, description="share of the capacity for the stratum positive; negative gets the rest"
    )
    segment_attribute: str = Field(
        default="", max_length=128, description="attribute of impressions whose values are distinguished"
    )
    segment_shares: str = Field(
        default="",
        max_length=10_000,
        description="values that are distinguished, e.g. France=0.05,Spain=0; each has that share of the capacity "
        "to itself",
    )
    recent_items: int = Field(
        default=0,
        ge=0,
        le=100,
        description="items with a positive outcome kept of each subject, the context of its rankings; 0: none",
    )
    recent_rows: int = Field(default=1_000_000, ge=1, le=10**9, description="such items kept over all subjects")
    positive_from: Literal["rating", "click", "add_to_cart", "purchase"] = Field(
        default="click", description="weakest outcome that makes a label 1"
    )
    salt: str = Field(
        default="weir",
        min_length=1,
        repr=False,
        json_schema_extra={"secret": "whole"},
        description="key of the sampling hashes; choose your own, or ids can be aimed at the buffer; never change it",
    )

    @property
    def negative_capacity_share(self) -> float:
        """Return the share of the capacity that the other strata leave."""
        taken = self.holdout_capacity_share + self.uniform_capacity_share + self.positive_capacity_share
        segments = parse_segments(self.segment_attribute, self.segment_shares)
        taken += sum(segments.reserved.values()) if segments else 0.0
        return round(1 - taken, 12)  # 0.2 + 0.2 + 0.6 is not quite 1

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        if 0 < self.half_life_seconds < 60:
            yield f"WEIR_HALF_LIFE_SECONDS is {self.half_life_seconds:g}; it must be 0 (no decay) or at least 60"
        if (size := len(self.salt.encode())) > blake2b.MAX_KEY_SIZE:
            yield f"WEIR_SALT has {size} bytes; it must have at most {blake2b.MAX_KEY_SIZE}: choose another one"
        try:
            if self.negative_capacity_share <= 0:
                taken = f"{1 - self.negative_capacity_share:g}; it must be less than 1: the rest is for negative"
                yield f"the shares WEIR_*_CAPACITY_SHARE and WEIR_SEGMENT_SHARES add up to {taken}"
        except InvalidInput as error:
            yield f"WEIR_SEGMENT_ATTRIBUTE and WEIR_SEGMENT_SHARES do not fit: {error}"


def holdout_capacity(buffer_capacity: int, holdout_capacity_share: float) -> int:
    """Return the number of samples that the stratum holdout may hold, rounded down."""
    return int(round(buffer_capacity * holdout_capacity_share, 6))  # 100 * 0.29 is not quite 29


def trainable_capacity(buffer_capacity: int, holdout_capacity_share: float) -> int:
    """Return the number of samples that all other strata may hold."""
    return buffer_capacity - holdout_capacity(buffer_capacity, holdout_capacity_share)
