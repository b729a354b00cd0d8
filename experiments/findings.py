"""Derive findings from results: means, paired comparisons, steps to a share of full quality, noise in the selection.

Pure functions of finished cells; `report` presents them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.comparison import Bootstrap, Difference, RunMetric, accuracy_metric, auc_metric
from experiments.examples import Examples
from experiments.grid import paid_ratio
from experiments.noise import Noise, NoiseKind
from experiments.policies import RS2, UNIFORM, policy
from experiments.stage import size
from importance.evidence import Interval, holm

Metric = Literal["auc", "accuracy"]
Matching = Literal["steps", "compute"]
FULL = 1.0
_METRICS: dict[Metric, Callable[..., RunMetric]] = {"auc": auc_metric, "accuracy": accuracy_metric}


@dataclass(frozen=True, order=True, slots=True)
class Arm:
    """Runs that differ in their seed only."""

    noise: Noise
    policy: str
    keep_ratio: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """An arm against a random policy of equal steps or compute; ``adjusted``: the p-value by Holm over policies."""

    arm: Arm
    rival: Arm
    matching: Matching
    metric: Metric
    difference: Difference
    adjusted: float

    @property
    def verdict(self) -> str:
        """Return + (better), − (worse) or = (no difference seen), by the adjusted p-value at 5 %."""
        if self.adjusted >= 0.05:
            return "="
        return "+" if self.difference.interval.estimate > 0 else "−"


class Findings:
    """The finished cells of one data set; ``predictions`` reads the predictions of a cell."""

    def __init__(
        self,
        records: Iterable[dict[str, Any]],
        examples: Examples,
        predictions: Callable[[str], NDArray[np.float64]],
        random: np.random.Generator,
    ) -> None:
        self.arms: dict[Arm, dict[int, dict[str, Any]]] = defaultdict(dict)
        for record in records:
            noise = Noise(record["noise_rate"], NoiseKind(record["noise_kind"]))
            self.arms[Arm(noise, record["policy"], record["keep_ratio"])][record["seed"]] = record
        self._predictions = predictions
        self._size = size(examples)
        judged = examples.rows(examples.judged)
        self._labels, self._groups = examples.labels[judged], examples.groups[judged]
        self._random = random
        self._metrics: dict[tuple[str, Metric], RunMetric] = {}

    @property
    def noises(self) -> list[Noise]:
        """Return all label noises, the clean one first."""
        return sorted({arm.noise for arm in self.arms})

    @property
    def policies(self) -> list[str]:
        """Return all policies, the random ones first, then in the order of their runs."""
        return list(dict.fromkeys([UNIFORM.name, RS2.name, *(arm.policy for arm in self.arms)]))

    @property
    def seeds(self) -> int:
        """Return the number of seeds with runs."""
        return len({seed for runs in self.arms.values() for seed in runs})

    def ratios(self, name: str, noise: Noise) -> list[float]:
        """Return the keep ratios of a policy, ascending."""
        return sorted(arm.keep_ratio for arm in self.arms if arm.policy == name and arm.noise == noise)

    def mean(self, arm: Arm, column: str) -> float:
        """Return the mean of a column over seeds; NaN without a run."""
        runs = self.arms.get(arm)
        return float(np.mean([record[column] for record in runs.values()])) if runs else float("nan")

    def deviation(self, arm: Arm, column: str) -> float:
        """Return the standard error of a column over seeds."""
        values = [record[column] for record in self.arms[arm].values()]
        return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0

    @cached_property
    def _bootstrap(self) -> Bootstrap:
        return Bootstrap(len(np.unique(self._groups)), self._random)

    def difference(self, arm: Arm, rival: Arm, metric: Metric) -> Difference | None:
        """Return arm minus rival over the seeds that both have."""
        seeds = sorted(self.arms.get(arm, {}).keys() & self.arms.get(rival, {}).keys())
        if not seeds:
            return None
        ours, theirs = ([self._metric(self.arms[each][seed]["key"], metric) for seed in seeds] for each in (arm, rival))
        return self._bootstrap.difference(ours, theirs)

    def overall(self, name: str, rival: str) -> Difference | None:
        """Return the difference in AUC of two policies, mean over all noises and the `scored_ratios`."""
        pairs = [
            (arm, other)
            for noise in self.noises
            for ratio in sorted(self.scored_ratios)
            if (arm := Arm(noise, name, ratio)) in self.arms and (other := Arm(noise, rival, ratio)) in self.arms
        ]
        arms = [arm for pair in pairs for arm in pair]
        seeds = sorted(set.intersection(*(set(self.arms[arm]) for arm in arms))) if arms else []
        if not seeds:
            return None
        sides = [[pair[side] for pair in pairs] for side in (0, 1)]
        ours, theirs = ([self._mean_metric(side, seed) for seed in seeds] for side in sides)
        return self._bootstrap.difference(ours, theirs)

    def _mean_metric(self, arms: list[Arm], seed: int) -> RunMetric:
        """Return the mean AUC of several runs; its parts are the mean of theirs, since the groups are the same."""
        metrics = [self._metric(self.arms[arm][seed]["key"], "auc") for arm in arms]
        return RunMetric(
            float(np.mean([each.value for each in metrics])), np.mean([each.parts for each in metrics], axis=0)
        )

    def _metric(self, key: str, metric: Metric) -> RunMetric:
        if (key, metric) not in self._metrics:
            self._metrics[key, metric] = _METRICS[metric](self._labels, self._predictions(key), self._groups)
        return self._metrics[key, metric]

    def comparisons(self, rival: str, matching: Matching, metric: Metric) -> list[Comparison]:
        """Compare each arm below the full ratio with a random policy; Holm over the policies of one noise and ratio."""
        families: dict[tuple[Noise, float], list[Comparison]] = defaultdict(list)
        for arm in sorted(self.arms):
            if arm.policy in (rival, UNIFORM.name) or (arm.policy == RS2.name and matching == "compute"):
                continue
            if arm.keep_ratio == FULL or (arm.policy == RS2.name and arm.keep_ratio not in self.scored_ratios):
                continue
            ratio = arm.keep_ratio
            if matching == "compute":
                ratio = paid_ratio(policy(arm.policy), ratio, self._size)
            other = Arm(arm.noise, rival, ratio)
            found = self.difference(arm, other, metric)
            if found is not None:
                families[arm.noise, arm.keep_ratio].append(Comparison(arm, other, matching, metric, found, 1.0))
        return [
            replace(each, adjusted=p)
            for family in families.values()
            for each, p in zip(family, holm([one.difference.p_value for one in family]), strict=True)
        ]

    @cached_property
    def scored_ratios(self) -> set[float]:
        """Return the keep ratios that scoring policies ran at."""
        return {arm.keep_ratio for arm in self.arms if policy(arm.policy).scores}

    def retention(self, arm: Arm) -> Interval | None:
        """Return the AUC as a share of that of full training under the same noise, with its interval."""
        full = Arm(arm.noise, UNIFORM.name, FULL)
        found = self.difference(arm, full, "auc")
        if found is None:
            return None
        whole = self.mean(full, "auc")
        estimate, low, high = (1 + part / whole for part in _parts(found.interval))
        return Interval(estimate, low, high)

    def steps_to(self, share: float, name: str, noise: Noise) -> float | None:
        """Return the fewest steps after which a policy's mean AUC over seeds is that share of full training's, or None.

        Considers the curves of its runs at full ratio and at the ratios that scoring policies ran at.
        """
        goal = share * self.mean(Arm(noise, UNIFORM.name, FULL), "auc")
        reached = [
            steps
            for ratio in self.ratios(name, noise)
            if ratio in self.scored_ratios or ratio == FULL
            for steps, auc in self.curve(Arm(noise, name, ratio))
            if auc >= goal
        ]
        return min(reached, default=None)

    def curve(self, arm: Arm) -> list[tuple[float, float]]:
        """Return (steps, mean AUC) along the runs; a stream has its end only."""
        runs = list(self.arms[arm].values())
        end = (self.mean(arm, "steps"), self.mean(arm, "auc"))
        if not all(record["curve_steps"] for record in runs):
            return [end]
        steps = np.mean([record["curve_steps"] for record in runs], axis=0).tolist()
        aucs = np.mean([record["curve_auc"] for record in runs], axis=0).tolist()
        return [*zip(steps, aucs, strict=True)]

    def noise_share(self, arm: Arm) -> Interval:
        """Return the share Σ f/p / Σ 1/p of wrong labels, mean over seeds, with the interval of the draws.

        The seeds' intervals are independent: the half-width of their mean is √(Σ half-width²)/S.
        """
        runs = list(self.arms[arm].values())
        half = [(record["noise_high"] - record["noise_low"]) / 2 for record in runs]
        spread = float(np.sqrt(np.sum(np.square(half))) / len(runs))
        share = self.mean(arm, "noise_weighted")
        return Interval(share, share - spread, share + spread)


def _parts(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high
