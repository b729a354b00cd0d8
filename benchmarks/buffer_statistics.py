"""What the buffer's draw promises, measured: no bias, the right variance, intervals that cover, wrong ways that fail.

    python benchmarks/buffer_statistics.py > benchmarks/results/statistics.md

Every table has the number of runs. Runs differ in the salt only, so results are the same on every machine. For a way
that is wrong on purpose the last column shows that it failed, as it must.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import log, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _sampling as sampling
from benchmarks._sampling import Bias, Probability, Rows
from importance.arrays import Floats
from importance.estimates import MIN_HITS, Estimate, mean, share, total
from importance.hashing import uniforms
from importance.reservoir import AdmissionPolicy, Reservoir, admit
from importance.sample import Sample
from importance.scores import Scores
from importance.selection import proportional
from importance.strata import HOLDOUT, STRATA, UNWEIGHTED, StrataPolicy, assign, subject_capacities
from importance.thresholds import AdmissionThresholds
from importance.weights import effective_sample_size, training_weights

BOUND = 4.0
"""The bound of |z| for a correct way; a wrong one exceeds it. Some thirty tests, at fixed salts."""

Verdict = tuple[object, ...]
"""A row of a table; its last entry is the verdict."""


def verdict(passed: bool, must_fail: bool = False) -> str:
    """Return the verdict, in capitals for a failure."""
    if must_fail:
        return "FAILS TO FAIL" if passed else "fails, as it must"
    return "holds" if passed else "BROKEN"


def weights_of(count: int, seed: int = 1, sigma: float = 1.0) -> Floats:
    """Return log weights of proportional selection, of lognormal scores with mean 1."""
    scores = np.random.default_rng(seed).lognormal(-(sigma**2) / 2, sigma, count)
    return np.log(proportional(scores, 1.0))


def uniformity(count: int = 200_000) -> Verdict:
    """The hash of ids against the uniform distribution, by Kolmogorov and Smirnov."""
    found = stats.kstest(uniforms((f"id-{number}" for number in range(count)), "salt", "draw"), "uniform")
    return (
        "u of ids is uniform (Kolmogorov–Smirnov)", f"{count:,}", f"D = {found.statistic:.5f}",
        f"p = {found.pvalue:.3f}", verdict(found.pvalue > 0.001),
    )  # fmt: skip


def exact_pairs(weights: Floats) -> Floats:
    """P(the two largest keys are those of i and j) = ∫ P(key_i > x) P(key_j > x) dH(x), for each pair.

    H is the distribution of the largest key of the others; P(key > x) = min(1, w·exp(−x)).
    """
    x = np.linspace(np.log(weights.min()) - 1, np.log(weights.max()) + 14, 200_001)
    above = np.minimum(1, weights[:, None] * np.exp(-x))
    probabilities = []
    for pair in combinations(range(len(weights)), 2):
        others = np.delete(np.arange(len(weights)), pair)
        of_both = above[pair[0]] * above[pair[1]]
        probabilities.append(np.sum((of_both[1:] + of_both[:-1]) / 2 * np.diff(np.prod(1 - above[others], axis=0))))
    shares: Floats = np.array(probabilities) / sum(probabilities)
    return shares


def successive_pairs(weights: Floats) -> Floats:
    """The same by Plackett and Luce: drawn one after the other in proportion to weight."""
    part = weights / weights.sum()
    pairs = combinations(range(len(weights)), 2)
    return np.array([part[i] * part[j] * (1 / (1 - part[i]) + 1 / (1 - part[j])) for i, j in pairs])


def pairs(runs: int) -> list[Verdict]:
    """Compare how often each of 15 pairs is held with priority sampling and with successive draws."""
    weights = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 13.0])
    ids = (f"{run}/{number}" for run in range(runs) for number in range(len(weights)))
    keys = np.log(weights) - np.log(uniforms(ids, "salt", "draw")).reshape(runs, -1)
    chosen = np.sort(np.argsort(-keys, axis=1)[:, :2], axis=1)
    seen = np.array([np.sum((chosen[:, 0] == i) & (chosen[:, 1] == j)) for i, j in combinations(range(6), 2)])
    found: list[Verdict] = []
    for name, expected, wrong in (
        ("15 pairs are held as priority sampling says (χ²)", exact_pairs(weights), False),
        ("15 pairs against Plackett–Luce (χ²)", successive_pairs(weights), True),
    ):
        test = stats.chisquare(seen, expected * runs)
        passed = test.pvalue > 0.001
        cells = f"χ² = {test.statistic:.1f}", f"p = {test.pvalue:.2g}"
        found.append((name, f"{runs:,}", *cells, verdict(passed, wrong)))
    return found


def values_of(log_weights: Floats, seed: int = 2) -> dict[str, Floats]:
    """Columns that are summed: unrelated to the weight, growing with it, and falling."""
    random, count = np.random.default_rng(seed), len(log_weights)
    weights = np.exp(log_weights)
    return {
        "a count": np.ones(count),
        "a loss": random.gamma(0.7, 0.5, count),
        "a 10 % label": (random.uniform(size=count) < 0.1).astype(float),
        "a 1 % label": (random.uniform(size=count) < 0.01).astype(float),
        "what grows with the weight": weights * random.uniform(0.5, 1.5, count),
        "what falls with it": random.uniform(0.5, 1.5, count) / weights,
    }


def unbiasedness(
    runs: int, probability: Probability = sampling.by_threshold, count: int = 300, capacity: int = 60
) -> list[tuple[str, Bias, float]]:
    """F̂ of each column, and mean V̂ over the variance of F̂."""
    log_weights = weights_of(count)
    columns = values_of(log_weights)
    totals: dict[str, list[float]] = {name: [] for name in columns}
    variances: dict[str, list[float]] = {name: [] for name in columns}
    for u in sampling.runs_of(count, runs):
        rows, p = sampling.held(log_weights, u, capacity, probability)
        for name, values in columns.items():
            found = total(values[rows], p)
            totals[name].append(found.value)
            variances[name].append(found.variance)
    return [
        (
            name,
            Bias.of(totals[name], float(values.sum())),
            float(np.mean(variances[name]) / np.var(totals[name], ddof=1)),
        )
        for name, values in columns.items()
    ]


Way = Callable[[Floats], tuple[Rows, Floats]]


def ways(count: int = 2_000, capacity: int = 200) -> Iterator[tuple[str, Way, bool]]:
    """Yield the buffer's ways and naive ones: (name, u → rows and p, whether it is wrong)."""
    mild, heavy = weights_of(count), np.random.default_rng(2).normal(0, 2.0, count)
    again, noise = weights_of(count, seed=3) - log(4), np.random.default_rng(4).normal(0, 0.5, count)
    half, bound = count // 2, count * 8 // 10
    yield "p by the threshold, lognormal w, σ = 2, no floor", lambda u: sampling.held(heavy, u, capacity), False
    wrong = sampling.by_share_of_the_weight
    yield "**negative control**: p = min(1, k·w/Σw)", lambda u: sampling.held(heavy, u, capacity, wrong), True
    yield "between trims, rows at or below κ not read", lambda u: sampling.between_trims(mild, u, capacity), False
    yield "between trims, all rows read", lambda u: sampling.between_trims(mild, u, capacity, skip_evicted=False), True
    yield "two pools merged, keys ≤ κ deleted", lambda u: sampling.merged(mild, u, capacity, bound), False
    yield "two pools merged, none deleted", lambda u: sampling.merged(mild, u, capacity, bound, delete=False), True
    yield "scored again at a quarter of the scale: m, κ = −∞", lambda u: sampling.scored_again(
        mild, again, u, capacity, half), False  # fmt: skip
    yield "scored again, m alone, with the old κ", lambda u: sampling.scored_again(
        mild, again, u, capacity, half, restart=False), True  # fmt: skip
    yield "scored again, κ = −∞ alone, m forgotten", lambda u: sampling.scored_again(
        mild, again, u, capacity, half, keep_m=False), True  # fmt: skip
    yield "scored again, neither", lambda u: sampling.scored_again(
        mild, again, u, capacity, half, keep_m=False, restart=False), True  # fmt: skip
    yield (
        "delivered twice, the first score counts",
        lambda u: sampling.twice(mild, mild + noise, u, capacity, True),
        False,
    )
    yield (
        "delivered twice, another score counts",
        lambda u: sampling.twice(mild, mild + noise, u, capacity, False),
        True,
    )


def biases(runs: int, count: int = 2_000) -> list[tuple[str, Bias, bool]]:
    """The bias of the count of the stream, by each way."""
    found = []
    for name, way, wrong in ways(count):
        estimates = [float((1 / way(u)[1]).sum()) for u in sampling.runs_of(count, runs)]
        found.append((name, Bias.of(estimates, count), wrong))
    return found


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of intervals. ``hits``: mean number of rows that count; ``too_few``: share of runs so flagged."""

    statistic: str
    hits: float
    covered: float
    too_few: float
    rival: str
    rival_covered: float

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Return the promised coverage; None where rows are too few."""
        minimum = MIN_HITS if self.statistic.startswith("share") else 200
        if self.hits < minimum:
            return None
        return (0.93, 0.98) if self.statistic.startswith("share") else (0.93, 0.97)

    @property
    def holds(self) -> bool:
        """Return whether the promise is kept, or most runs had "too few"."""
        return self.too_few > 0.5 if self.bounds is None else self.bounds[0] <= self.covered <= self.bounds[1]


Interval = tuple[float, float]


def coverage(runs: int, count: int = 10_000, capacity: int = 1_000, decay: float = 1.0) -> list[Coverage]:
    """95 % intervals of one stratum; weights grow by e^``decay`` from the first event to the last."""
    log_weights = weights_of(count) + np.linspace(0, decay, count)
    columns, chosen = _measured(log_weights)
    names = [*columns, *chosen]
    inside, rival = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    hits, too_few = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for u in sampling.runs_of(count, runs):
        rows, p = sampling.held(log_weights, u, capacity)
        for name in names:
            if name in chosen:
                truth, found = float(chosen[name].mean()), share(chosen[name][rows], p)
                other = capped(chosen[name][rows], p)
            else:
                truth, found, other = _of_a_total(name, columns[name], rows, p)
            inside[name] += found.low <= truth <= found.high
            rival[name] += other[0] <= truth <= other[1]
            hits[name] += found.hits
            too_few[name] += found.too_few
    return [
        Coverage(
            name, hits[name] / runs, inside[name] / runs, too_few[name] / runs,
            "Wilson, n ≤ Kish's" if name in chosen else "normal", rival[name] / runs,
        )
        for name in names
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Crowd:
    """A stream in which subject 0 sends half of the samples, and the others 25 each.

    Its labels are three times as frequent as the others', its losses half as large: forgetting who sent what shows.
    """

    capacity: int
    subjects: Rows
    log_weights: Floats
    strata: NDArray[np.str_]
    columns: dict[str, Floats]

    @classmethod
    def of(cls, held_out: bool, others: int = 2_000, each: int = 25) -> "Crowd":
        """With the loud subject in the holdout, or not."""
        random = np.random.default_rng(17)
        subjects = random.permutation(
            np.append(np.zeros(others * each, np.int64), np.repeat(np.arange(1, others + 1), each))
        )
        is_loud, count = subjects == 0, len(subjects)
        labels = (random.uniform(size=count) < np.where(is_loud, 0.3, 0.1)).astype(np.int64)
        loss = random.gamma(0.7, 0.5, count) * np.where(is_loud, 0.5, 1.0)
        salts = (f"salt {number}" for number in range(1_000))
        policy = next(p for p in map(StrataPolicy, salts) if (assign("i", "0", [0], p) == [HOLDOUT]) == held_out)
        strata = np.array(
            assign([f"id-{n}" for n in range(count)], [f"{s}" for s in subjects], labels.tolist(), policy)
        )
        weights = proportional(loss, float(loss.mean()))
        log_weights = np.where(np.isin(strata, UNWEIGHTED), 0.0, np.log(weights))
        return cls(
            5 * others, subjects, log_weights, strata, {"label rate": labels.astype(np.float64), "mean loss": loss}
        )

    def held(self, u: Floats, share: float, own: bool = True) -> tuple[Rows, Floats, float]:
        """Return rows and p of a bounded buffer, and the largest share of a stratum that the loud subject has."""
        capacity = StrataPolicy("salt").capacities(self.capacity)
        bound = subject_capacities(capacity, share)
        rows, chances, largest = [], [], 0.0
        for name, size in capacity.items():
            of = np.flatnonzero(self.strata == name)
            inside, p = sampling.bounded(self.log_weights[of], self.subjects[of], u[of], size, bound[name], own)
            rows.append(of[inside])
            chances.append(p)
            largest = max(largest, float((self.subjects[of[inside]] == 0).sum() / size))
        return np.concatenate(rows), np.concatenate(chances), largest


@dataclass(frozen=True, slots=True)
class Crowded:
    """A statistic of such a stream: bias, coverage of its interval, and the largest share of the loud subject."""

    way: str
    statistic: str
    bias: Bias
    covered: float
    largest: float
    wrong: bool

    @property
    def holds(self) -> bool:
        """Whether it is unbiased and covered as promised. The ratio's own bias, of order 1/n, is below 0.5 %."""
        return (abs(self.bias.z) < BOUND or abs(self.bias.bias) < 0.005) and 0.93 <= self.covered <= 0.98


def crowds(runs: int, share: float = 0.03, others: int = 2_000) -> list[Crowded]:
    """One loud subject between ``others``, bounded to ``share`` of each stratum; and p that forgets the bound."""
    found = []
    for held_out, own in ((False, True), (True, True), (False, False)):
        crowd = Crowd.of(held_out, others)
        way = ("held out" if held_out else "in training") + ("" if own else ", p forgets the bound")
        estimates: dict[str, list[float]] = {name: [] for name in crowd.columns}
        inside, largest = dict.fromkeys(crowd.columns, 0), 0.0
        for u in sampling.runs_of(len(crowd.subjects), runs if own else max(runs // 10, 10), way):
            rows, p, part = crowd.held(u, share, own)
            largest = max(largest, part)
            for name, values in crowd.columns.items():
                of = values[rows]
                estimate = share_of(of, p) if name == "label rate" else mean(of, p)
                estimates[name].append(estimate.value)
                inside[name] += estimate.low <= values.mean() <= estimate.high
        for name, values in crowd.columns.items():
            bias, tried = Bias.of(estimates[name], float(values.mean())), len(estimates[name])
            found.append(Crowded(way, name, bias, inside[name] / tried, largest, not own))
    return found


def share_of(ones: Floats, probability: Floats) -> Estimate:
    """The share of what is 1."""
    return share(ones == 1, probability)


def _measured(log_weights: Floats) -> tuple[dict[str, Floats], dict[str, NDArray[np.bool_]]]:
    """What totals and means are of, and what shares are of."""
    random, count, weights = np.random.default_rng(5), len(log_weights), np.exp(log_weights)
    u = random.uniform(size=(7, count))
    columns = {
        "count": np.ones(count),
        "mean loss": random.gamma(0.7, 0.5, count),
        "continuous f, 30 % not zero": np.where(u[0] < 0.3, random.lognormal(0, 1, count), 0.0),
        "total of a 1 % label": (u[1] < 0.01).astype(float),
    }
    rising, falling = weights / weights.mean(), (1 / weights) / (1 / weights).mean()
    chosen = {
        "share of a 30 % label": u[2] < 0.3,
        "share of a 3 % label": u[3] < 0.03,
        "share of a 10 % label that grows with the weight": u[4] < 0.1 * rising,
        "share of a 10 % label that falls with the weight": u[5] < 0.1 * falling,
        "share of a 1 % label": u[6] < 0.01,
    }
    return columns, chosen


def _of_a_total(name: str, values: Floats, rows: Rows, p: Floats) -> tuple[float, Estimate, Interval]:
    """The truth, the estimate, and the interval of the normal approximation."""
    if name.startswith("mean"):
        truth, found = float(values.mean()), mean(values[rows], p)
    else:
        truth, found = float(values.sum()), total(values[rows], p)
    half = 1.96 * sqrt(found.variance)
    return truth, found, (found.value - half, found.value + half)


def capped(chosen: NDArray[np.bool_], p: Floats) -> Interval:
    """A rival: Wilson's with n = min(μ(1 − μ)/V̂, (Σ1/p)²/Σ1/p²) and the normal quantile."""
    found = mean(chosen.astype(float), p)
    size = effective_sample_size(1 / p)
    if found.variance:
        size = min(size, found.value * (1 - found.value) / found.variance)
    middle, square = found.value + 1.96**2 / (2 * size), 1 + 1.96**2 / size
    half = 1.96 * sqrt(found.value * (1 - found.value) / size + (1.96 / (2 * size)) ** 2)
    return (middle - half) / square, (middle + half) / square


def decay(runs: int, count: int = 4_000, capacity: int = 400) -> Verdict:
    """Ten years at a half-life of an hour, half of the events in the last ten hours: Σ exp(−λ(T − t)) is estimated."""
    hours = np.sort(np.concatenate([np.linspace(0, 87_600, count // 2), np.linspace(87_590, 87_600, count // 2)]))
    log_weights, decayed = weights_of(count) + log(2) * hours, np.exp(log(2) * (hours - hours.max()))
    estimates, finite = [], True
    for u in sampling.runs_of(count, runs):
        rows, p = sampling.held(log_weights, u, capacity)
        finite &= bool(np.isfinite(log_weights[rows] - np.log(u[rows])).all() and (p > 0).all())
        estimates.append(sampling.total(decayed, rows, p))
    found = Bias.of(estimates, float(decayed.sum()))
    passed = finite and abs(found.z) < BOUND
    return ("ten years at a half-life of an hour stay finite", f"{runs:,}", f"{found.bias:+.2%}", f"z = {found.z:+.2f}",
            verdict(passed))  # fmt: skip


def exactness(runs: int, count: int = 400) -> Verdict:
    """Any order, repetition, and split over workers, against one reservoir that saw all in order: same rows, same κ."""
    policy = AdmissionPolicy(StrataPolicy("salt"), "salt")
    samples = [Sample(f"id-{n}", f"s{n}", "search", "q", "i", "t", n, 0, n, actions=n % 2) for n in range(count)]
    random = np.random.default_rng(7)
    offers = admit(samples, Scores(random.lognormal(size=count), "loss", "v1"), policy, AdmissionThresholds())
    capacity = dict.fromkeys(STRATA, 20)

    def filled(batches: Iterable[NDArray[np.int64]]) -> Reservoir:
        reservoir = Reservoir(capacity)
        for batch in batches:
            reservoir.offer(offers[row] for row in batch)
            reservoir.trim()
        return reservoir

    whole = filled([np.arange(count)])
    differ = 0
    for _ in range(runs):
        order = random.permutation(np.append(np.arange(count), random.integers(0, count, count // 4)))
        workers = [filled(np.array_split(part, 5)) for part in np.array_split(order, random.integers(1, 5))]
        for other in workers[1:]:
            workers[0].merge(other)
        differ += workers[0].rows() != whole.rows() or workers[0].thresholds() != whole.thresholds()
    return ("order, repetition and split change neither rows nor κ", f"{runs:,}", f"{differ} differ", "exact",
            verdict(not differ))  # fmt: skip


def losses(shape: str, count: int = 5_000) -> tuple[Floats, Floats]:
    """Losses of a stream, and scores that follow them with noise."""
    random = np.random.default_rng(11)
    if shape == "lognormal":
        found = random.lognormal(-1, 1, count)
    else:
        found = np.where(
            random.uniform(size=count) < 0.1, random.normal(2, 0.2, count), random.normal(0.05, 0.01, count)
        )
    return np.abs(found), np.abs(found) * random.lognormal(-0.125, 0.5, count)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A strategy of drawing for training: relative bias and variance of the mean loss, ESS relative to the draws."""

    strategy: str
    bias: float
    variance: float
    ess: float


def drawing(shape: str, runs: int, capacity: int = 1_000, draws: int = 250) -> list[Drawn]:
    """Estimate the mean loss of the stream from ``draws`` rows of a buffer of ``capacity``, by each strategy."""
    values, scores = losses(shape)
    log_weights = np.log(proportional(scores, float(scores.mean())))
    random = np.random.default_rng(13)
    found: dict[str, list[tuple[float, float]]] = {}
    for u in sampling.runs_of(len(values), runs):
        rows, p = sampling.held(log_weights, u, capacity)
        for strategy, (chosen, weight) in _strategies(rows, p, scores[rows], len(values), draws, random).items():
            ess = effective_sample_size(weight) / draws
            found.setdefault(strategy, []).append((float((weight * values[chosen]).mean()), ess))
    truth = values.mean()
    return [
        Drawn(strategy, float(np.mean([mean for mean, _ in each]) / truth - 1),
              float(np.var([mean for mean, _ in each], ddof=1) / truth**2), float(np.mean([ess for _, ess in each])))
        for strategy, each in found.items()
    ]  # fmt: skip


def _strategies(
    rows: Rows, p: Floats, scores: Floats, stream: int, draws: int, random: np.random.Generator
) -> dict[str, tuple[Rows, Floats]]:
    """Return rows of the stream drawn by each strategy [draws], and the weight of their loss, of mean about 1."""
    capacity = len(rows)
    a = (1 / p) / (1 / p).mean()
    uniform, again = random.permutation(capacity)[:draws], random.integers(0, capacity, draws)
    q = scores / scores.sum()
    by_score = random.choice(capacity, draws, p=q)
    return {
        "**uniform without replacement, a = 1/p** (ours)": (rows[uniform], a[uniform]),
        "the same, clipped as in training": (rows[uniform], training_weights(p).values[uniform]),
        "uniform with replacement, a = 1/p": (rows[again], a[again]),
        "q ∝ s, a = 1/(q·p)": (rows[by_score], a[by_score] / (capacity * q[by_score])),
        "q ∝ s, p forgotten": (rows[by_score], 1 / (capacity * q[by_score])),
        "uniform of the stream, no buffer": (random.integers(0, stream, draws), np.ones(draws)),
    }


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table under a heading."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in [columns, *rows]]
    return "\n".join([f"## {title}", "", lines[0], "|---" + "|---:" * (len(columns) - 1) + "|", *lines[1:], ""])


def main() -> None:
    """Print every table; exit status 1 when one of them shows what it must not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000, help="runs of each simulation (default: 2,000)")
    runs = parser.parse_args().runs
    print(f"# What the buffer's draw promises\n\n`python benchmarks/buffer_statistics.py --runs {runs}`\n")
    shown = [list(rows) for rows in tables(runs)]
    wrong = [row for rows in shown for row in rows if str(row[-1]) in ("BROKEN", "FAILS TO FAIL")]
    print(f"{len(wrong)} of {sum(map(len, shown))} lines are not as they should be.")
    sys.exit(bool(wrong))


def tables(runs: int) -> Iterator[list[Verdict]]:
    """Print one table after the other, and give its rows."""
    many = 5 * runs
    laws = [uniformity(), *pairs(20 * runs), exactness(max(runs // 10, 20)), decay(runs)]
    print(table("Laws of the draw", ("what", "runs", "figure", "test", ""), laws), flush=True)
    yield laws
    sums: list[Verdict] = [
        (name, f"{found.runs:,}", f"{found.bias:+.2%}", f"{found.z:+.2f}", f"{ratio:.3f}",
         verdict(abs(found.z) < BOUND and 0.95 < ratio < 1.05))
        for name, found, ratio in unbiasedness(many)
    ]  # fmt: skip
    print(table("Totals F̂ = Σ f/p: 60 of 300 held", ("f", "runs", "bias", "z", "mean V̂ / Var", ""), sums), flush=True)
    yield sums
    tried: list[Verdict] = [
        (name, f"{found.runs:,}", f"{found.bias:+.1%}", f"{found.z:+.1f}", verdict(abs(found.z) < BOUND, wrong))
        for name, found, wrong in biases(runs)
    ]
    print(table("The count of the stream, 200 of 2,000 held", ("way", "runs", "bias", "z", ""), tried), flush=True)
    yield tried
    covered = [_covered(each, runs) for each in coverage(runs)]
    columns = ("figure", "runs", "hits", "covered", "promised", '"too few" said', "rival", "it covers", "")
    print(table("95 % intervals, 1,000 of 10,000 held", columns, covered), flush=True)
    yield covered
    loud: list[Verdict] = [
        (
            f"{each.statistic}, {each.way}", f"{each.bias.runs:,}", f"{each.largest:.2%}", f"{each.bias.bias:+.2%}",
            f"{each.covered:.1%}", verdict(each.holds, each.wrong),
        )
        for each in crowds(runs)
    ]  # fmt: skip
    title = "One subject with 50,000 samples between 2,000 with 25 each, 10,000 places, share 3 %"
    print(table(title, ("figure", "runs", "largest share of a stratum", "bias", "covered", ""), loud), flush=True)
    yield loud
    for shape in ("lognormal", "bimodal"):
        strategies: list[Verdict] = [
            (each.strategy, f"{runs:,}", f"{each.bias:+.1%}", f"{each.variance:.4f}", f"{each.ess:.2f} n")
            for each in drawing(shape, runs)
        ]
        title = f"Drawing for training, {shape} losses: 250 of 1,000 of 5,000"
        print(table(title, ("rule", "runs", "bias", "variance / mean²", "ESS"), strategies), flush=True)
        yield strategies


def _covered(found: Coverage, runs: int) -> Verdict:
    promised = "too few" if found.bounds is None else f"{found.bounds[0]:.0%}–{found.bounds[1]:.0%}"
    return (
        found.statistic, f"{runs:,}", f"{found.hits:.0f}", f"{found.covered:.1%}", promised, f"{found.too_few:.0%}",
        found.rival, f"{found.rival_covered:.1%}", verdict(found.holds),
    )  # fmt: skip


if __name__ == "__main__":
    main()
