"""The cells of a benchmark: policies × keep ratios × label noise × seeds, and the budget of each.

Values only; independent of data and models.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from experiments.noise import Noise, NoiseKind
from experiments.policies import RS2, UNIFORM, Policy, policy
from experiments.rounds import matched_ratio, plan
from importance.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run. ``keep_ratio`` is the share of the full run's steps, and of the candidates that are kept."""

    dataset: str
    learner: str
    policy: Policy
    keep_ratio: float
    noise: Noise
    seed: int

    @property
    def key(self) -> str:
        """Return a name that is unique in a grid and usable as a file name. No number in it is rounded."""
        return f"{self.policy.name}-{self.keep_ratio}-{self.noise.kind}{self.noise.rate}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a set of examples.

    ``pool``: rows to select from; ``memory``: rows of the holdout that an estimator with state reads every round.
    """

    pool: int
    memory: int


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The axes of a benchmark. ``epochs`` passes over the pool make the full run; a stream is passed once.

    ``pool`` bounds the examples to select from; ``matched`` adds runs of the two random policies with the steps that
    scoring would have paid for.
    """

    learner: Literal["head", "transformer"]
    policies: tuple[str, ...]
    keep_ratios: tuple[float, ...] = (0.01, 0.1, 0.33, 1.0)
    noise: tuple[tuple[float, NoiseKind], ...] = ((0.0, NoiseKind.UNIFORM),)
    seeds: int = 5
    epochs: int = 3
    pool: int | None = None
    matched: bool = True

    def __post_init__(self) -> None:
        """Refuse a grid that cannot be run."""
        for name in self.policies:
            policy(name)
        for axis in ("keep_ratios", "noise"):
            if not getattr(self, axis):
                raise InvalidInput(f"{axis} of the grid is empty; name at least one, or leave the line out")
        for ratio in self.keep_ratios:
            if not 0 < ratio <= 1:
                raise InvalidInput(f"a keep ratio is {ratio:g}; it must be above 0 and at most 1")
        for rate, kind in self.noise:
            Noise(rate, kind)
        for field, minimum in (("seeds", 1), ("epochs", 1), ("pool", 100)):
            value = getattr(self, field)
            if value is not None and value < minimum:
                raise InvalidInput(f"{field} of the grid is {value}; it must be at least {minimum}")

    def cells(self, dataset: str, size: Size) -> Iterator[Cell]:
        """Yield all cells, seed by seed, so that a stopped benchmark has few seeds and not few policies.

        The random policies are always included. At a ratio of 1 every policy keeps everything: only they are run.
        """
        chosen = tuple(dict.fromkeys([UNIFORM, RS2, *map(policy, self.policies)]))
        paid = {paid_ratio(other, ratio, size) for other in chosen if other.scores for ratio in self.keep_ratios}
        for seed in range(self.seeds):
            for rate, kind in dict.fromkeys(self.noise):
                for each in chosen:
                    for ratio in self._ratios(each, paid):
                        yield Cell(dataset, self.learner, each, ratio, Noise(rate, kind), seed)

    def _ratios(self, each: Policy, paid: set[float]) -> list[float]:
        if each.scores:
            return [ratio for ratio in dict.fromkeys(self.keep_ratios) if ratio < 1]
        return sorted({1.0, *self.keep_ratios, *(paid if self.matched else ())})


def paid_ratio(each: Policy, ratio: float, size: Size) -> float:
    """Return the keep ratio at which a random policy costs as much as ``each`` at ``ratio``.

    >>> paid_ratio(policy("loss"), 0.33, Size(30_000, 2_000)), paid_ratio(policy("rho"), 0.33, Size(30_000, 2_000))
    (0.66, 0.83)
    """
    memory = size.memory if each.reads_holdout else 0
    return matched_ratio(ratio, each.cost, memory, plan(size.pool, 1, ratio).candidates)


_QUICK = (
    "last_layer_norm",
    "last_layer_norm_unweighted",
    "last_layer_norm_top",
    "gradient_output",
    "gradient_output_top",
    "entropy",  # also stands for confidence and margin, which rank alike with two classes
    "entropy_unweighted",
    "loss",  # also stands for el2n
    "loss_top",
    "output_norm_top",  # the opposite: the most certain predictions
    "last_layer_norm_guarded",
    "rho",
    "rho_top",
    "gradient_norm",
    "novelty",
    "learnability",
)
_TWENTY = ((0.0, NoiseKind.UNIFORM), (0.2, NoiseKind.UNIFORM), (0.2, NoiseKind.CONFUSABLE))

GRIDS = {
    "quick": Grid(learner="head", policies=_QUICK, noise=_TWENTY, pool=30_000),
    "full": Grid(
        learner="transformer",
        policies=("last_layer_norm", "loss", "gradient_output_top"),
        keep_ratios=(0.1, 0.33, 1.0),
        noise=_TWENTY[:2],
        pool=15_000,
        matched=False,
    ),
}


def read_grid(name_or_file: str) -> Grid:
    """Return a named grid, or read one from a TOML file with the fields of `Grid`. Raises InvalidInput."""
    if name_or_file in GRIDS:
        return GRIDS[name_or_file]
    file = Path(name_or_file)
    if not file.is_file():
        raise InvalidInput(
            f"unknown grid {name_or_file!r}, and no such file: name {' or '.join(GRIDS)}, or a TOML file"
        )
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Grid)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is not a valid grid: {error}") from error
