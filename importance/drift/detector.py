"""What a drift detector is: a frozen configuration that turns a state and the next block into a state and a verdict.

A detector holds nothing itself, so its result is a function of the blocks alone, whatever was restarted between them.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, TypeVar

import msgspec

from importance.drift.block import Block
from importance.errors import InvalidInput


class State(msgspec.Struct, frozen=True, tag_field="detector"):
    """What a detector keeps between two blocks: bounded in size; msgspec stores it and reads it back exactly."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one check: a change is reported where ``statistic`` exceeds ``threshold``.

    Both are in the unit that the detector names. ``p_value`` is None where the detector has none.
    """

    statistic: float
    threshold: float
    p_value: float | None
    alarm: bool


S = TypeVar("S", bound=State)


class Detector(Protocol[S]):
    """A test for drift in the blocks of one feature; ``name`` is the label ``test`` of its metrics.

    Its false alarms are set by the expected run time: the mean number of blocks, or more, between two alarms on a
    stationary stream.
    """

    name: ClassVar[str]

    def start(self) -> S:
        """The state before the first block."""
        ...

    def update(self, state: S, block: Block, seed: int) -> tuple[S, Verdict | None]:
        """Return the state after the next block, and the verdict; None where the block completes no check.

        After an alarm the state starts again, so that a lasting shift raises one alarm and what follows is compared
        with what came after it. ``seed`` makes permutations: the caller derives it from feature and block.
        """
        ...


def write_state(state: State) -> bytes:
    """The state as JSON; floats are read back exactly."""
    return msgspec.json.encode(state)


def read_state(detector: Detector[S], text: bytes) -> S:
    """The state of a detector from its JSON; raises InvalidInput for that of another detector."""
    try:
        return msgspec.json.decode(text, type=type(detector.start()))
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"the stored state of {detector.name} cannot be read: {error}") from None


class Pending(msgspec.Struct, frozen=True):
    """Samples of blocks that are too small for an observation of their own: they join the next block."""

    count: int = 0
    total: float = 0.0

    def plus(self, block: Block) -> Self:
        """Add a block of means; raises InvalidInput for any other."""
        if block.sums.shape != (1,):
            raise InvalidInput(f"the sums of a block have shape {block.sums.shape}; a test of means takes (1,)")
        return type(self)(self.count + block.count, self.total + float(block.sums[0]))

    @property
    def mean(self) -> float:
        """The mean of the samples, of which there must be one."""
        return self.total / self.count


def check_at_least(**bounds: tuple[float, float]) -> None:
    """Refuse a parameter, given as (value, least value), that is smaller or NaN.

    >>> check_at_least(stride=(0, 1))
    Traceback (most recent call last):
    importance.errors.InvalidInput: stride is 0; it must be at least 1
    """
    for name, (value, least) in bounds.items():
        if not value >= least:
            raise InvalidInput(f"{name} is {value}; it must be at least {least:g}")
