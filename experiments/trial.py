"""Run one cell: select, train and evaluate, round by round. The clock is passed in, randomness is seeded.

A round scores ``candidates`` with the current model, keeps ``kept`` of them and trains on those. A pool is passed
several times in random order and evaluated on a test; a stream is passed once in order of time, and each round is
evaluated before training on it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.examples import Fold
from experiments.grid import Cell
from experiments.learner import LEARNING_RATE
from experiments.policies import Strategy, choose
from experiments.quality import metrics
from experiments.rounds import TRAINING_COST, Plan, plan
from experiments.selection_totals import SelectionTotals
from experiments.stage import Stage, decayed, state_rows
from importance import estimators
from importance.arrays import Floats, Integers

CURVE_POINTS = 8
HISTOGRAM = np.linspace(0, 5, 26)  # of scores over their mean


Clock = Callable[[], Floats]
"""Returns the seconds [2] of this process's CPU time and of wall-clock time."""


def seconds() -> Floats:
    """Return CPU and wall-clock seconds: the `Clock` of a real run."""
    return np.array([time.process_time(), time.perf_counter()])


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """The result of a cell: a flat ``record`` for the table, and the predictions [n] of the evaluated rows."""

    record: dict[str, object]
    prediction: Floats


class Trial:
    """One cell in progress."""

    def __init__(self, cell: Cell, stage: Stage, epochs: int, clock: Clock) -> None:
        self._cell, self._stage, self._clock = cell, stage, clock
        self._epochs = 1 if stage.examples.is_stream else epochs
        self._random = np.random.default_rng([cell.seed, 1])  # the same candidates for every policy
        self._draws = np.random.default_rng([cell.seed, 2])
        self._learner = stage.start.clone()
        self._holdout = state_rows(stage.examples)
        self._totals = SelectionTotals()
        self._scoring, self._training = np.zeros(2), np.zeros(2)
        self._steps = self._seen = 0
        self._curve: list[tuple[int, float]] = []
        self._last: tuple[Floats, NDArray[np.bool_]] | None = None

    def run(self) -> Outcome:
        """Run all rounds, and compute the metrics at their end."""
        examples = self._stage.examples
        judged = examples.rows(examples.judged)
        prediction = np.full(len(judged), np.nan)
        rounds = list(self._rounds())
        curve_at = set(np.unique(np.geomspace(1, len(rounds), CURVE_POINTS).round().astype(int)).tolist())
        for number, rows in enumerate(rounds, start=1):
            if examples.is_stream:
                prediction[np.searchsorted(judged, rows)] = self._learner.predict(rows)
            self._learn_from(rows, (number - 1) / len(rounds))
            if not examples.is_stream and number in curve_at:
                prediction = self._learner.predict(judged)
                self._curve.append((self._steps, self._metrics(judged, prediction)["auc"]))
        return Outcome(self._record(judged, prediction), prediction)

    def _rounds(self) -> Iterator[Integers]:
        """Yield the candidates of each round."""
        pool = self._stage.examples.rows(Fold.POOL)
        shape = plan(len(pool), self._epochs, self._cell.keep_ratio)
        if self._stage.examples.is_stream:
            yield from np.array_split(pool, shape.rounds)
            return
        fixed = pool
        if self._cell.policy.strategy is Strategy.STATIC:
            fixed = self._random.permutation(pool)[: max(1, round(len(pool) * self._cell.keep_ratio))]
            shape = Plan(shape.kept, shape.kept, shape.rounds)
        order: list[int] = []
        for _ in range(shape.rounds):
            while len(order) < shape.candidates:
                order += self._random.permutation(fixed).tolist()
            yield np.asarray(order[: shape.candidates])
            del order[: shape.candidates]

    def _learn_from(self, rows: Integers, progress: float) -> None:
        stage, policy = self._stage, self._cell.policy
        candidates = self._candidates(rows)
        kept = self._kept(len(rows))
        started = self._clock()
        scores = self._scores(candidates)
        selection = choose(policy, scores, kept, self._draws)
        chosen = candidates[selection.positions]
        between = self._clock()
        order = self._draws.permutation(kept)
        rate = LEARNING_RATE if stage.examples.is_stream else decayed(progress)
        self._steps += self._learner.learn(
            chosen[order], stage.labels[chosen[order]], selection.weights[order], rate
        )  # fmt: skip
        self._training += self._clock() - between
        self._scoring += between - started
        self._seen += len(rows)
        self._totals.add(selection, stage.wrong[chosen])
        if policy.scores:
            self._last = scores, stage.wrong[candidates]

    def _candidates(self, rows: Integers) -> Integers:
        """Return the rows to select from: all earlier ones for re-sampling a stream, else those of the round."""
        examples = self._stage.examples
        if examples.is_stream and self._cell.policy.strategy is Strategy.RESAMPLED:
            past = np.flatnonzero(np.isin(examples.folds, (Fold.HISTORY, Fold.POOL)))
            return past[: np.searchsorted(past, rows[-1], side="right")]
        return rows

    def _kept(self, candidates: int) -> int:
        if not self._stage.examples.is_stream and self._cell.policy.strategy is Strategy.STATIC:
            return candidates
        return max(1, round(candidates * self._cell.keep_ratio))

    def _scores(self, rows: Integers) -> Floats:
        policy, labels = self._cell.policy, self._stage.labels[rows]
        if not policy.scores:
            return np.ones(len(rows))
        if policy.reads_holdout:
            self._learner.update_state(self._holdout, self._stage.labels[self._holdout], policy.needs)
        mixture = policy.mixture
        columns = self._learner.score(rows, labels, tuple(map(estimators.get, mixture.columns)))
        return mixture.combine(columns, {name: float(column.mean()) for name, column in columns.items()})

    def _metrics(self, judged: Integers, prediction: Floats) -> dict[str, float]:
        examples = self._stage.examples
        return metrics(examples.labels[judged], examples.relevance[judged], examples.slates[judged], prediction)

    def _record(self, judged: Integers, prediction: Floats) -> dict[str, object]:
        cell, policy, totals = self._cell, self._cell.policy, self._totals
        compute = self._seen * policy.cost + totals.selected * TRAINING_COST
        if policy.reads_holdout:
            compute += len(totals.effective) * len(self._holdout)  # read once a round
        return {
            **identity(cell),
            "steps": self._steps,
            "candidates": self._seen,
            "selected": totals.selected,
            "forward_passes": compute,
            "scoring_cpu_seconds": float(self._scoring[0]),
            "scoring_wall_seconds": float(self._scoring[1]),
            "training_cpu_seconds": float(self._training[0]),
            "training_wall_seconds": float(self._training[1]),
            **self._metrics(judged, prediction),
            "noise_base": float(self._stage.wrong[self._stage.examples.folds == Fold.POOL].mean()),
            **totals.noise(),
            "effective_share": float(np.mean(totals.effective)),
            "clipped_mass": float(np.mean(totals.clipped)),
            "curve_steps": [steps for steps, _ in self._curve],
            "curve_auc": [auc for _, auc in self._curve],
            **self._histograms(),
        }

    def _histograms(self) -> dict[str, list[int]]:
        """Return histograms of the last round's scores over their mean, for right and wrong labels."""
        if self._last is None:
            return {"scores_right": [], "scores_wrong": []}
        scores, wrong = self._last
        relative = np.clip(scores / (scores.mean() or 1.0), HISTOGRAM[0], HISTOGRAM[-1])
        right_counts, wrong_counts = (np.histogram(relative[part], HISTOGRAM)[0].tolist() for part in (~wrong, wrong))
        return {"scores_right": right_counts, "scores_wrong": wrong_counts}


def identity(cell: Cell) -> dict[str, object]:
    """Return the columns that identify a record's cell."""
    return {
        "key": cell.key,
        "dataset": cell.dataset,
        "learner": cell.learner,
        "policy": cell.policy.name,
        "estimator": cell.policy.estimator,
        "rule": cell.policy.strategy.value,
        "weighted": cell.policy.weighted,
        "keep_ratio": cell.keep_ratio,
        "noise_kind": cell.noise.kind.value,
        "noise_rate": cell.noise.rate,
        "seed": cell.seed,
    }
