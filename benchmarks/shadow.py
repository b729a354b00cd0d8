"""How often the always-valid tests of shadow and mirror are wrong, and how soon they find a difference.

    python benchmarks/shadow.py > benchmarks/results/shadow.md

All streams are drawn here, from fixed seeds, one result a subject. The tests are read after every single result. A
naive z-test and a test of a size fixed before are compared with them. Numbers are the same on every machine.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _report as report
from importance.arrays import Booleans, Floats, Integers
from importance.sample import Sample
from importance.scores import MIRROR, SERVING, Predictions, Scores
from importance.sequential import LOG_DECISIVE, log_non_inferiority, log_superiority
from importance.shadow import gains, numbers

ALPHA, POWER, MARGIN = 0.05, 0.8, 0.02
CHUNK = 100
"""Streams drawn at once."""
FIRST_Z = 30
"""Results before the naive test is read for the first time: earlier it would be wrong still more often."""
Z = NormalDist().inv_cdf(1 - ALPHA)

Evidence = Callable[[Integers, Integers], Floats]
"""The evidence [streams, steps] after each step, of wins and losses so far; a decision is made at 0 or above."""


def superiority(wins: Integers, losses: Integers) -> Floats:
    """Return ln E of superiority, less what decides."""
    evidence: Floats = log_superiority(wins, losses) - LOG_DECISIVE
    return evidence


def non_inferiority(wins: Integers, losses: Integers) -> Floats:
    """Return ln E of non-inferiority by the margin, less what decides."""
    evidence: Floats = log_non_inferiority(wins, losses, _steps(wins) - wins - losses, MARGIN) - LOG_DECISIVE
    return evidence


def naive(wins: Integers, losses: Integers) -> Floats:
    """The sign test's z so far, less the bound of a single look."""
    z: Floats = (wins - losses) / np.sqrt(np.maximum(wins + losses, 1)) - Z
    z[:, :FIRST_Z] = -np.inf
    return z


def _steps(wins: Integers) -> Integers:
    return np.arange(1, wins.shape[1] + 1)


def streams(seed: int, count: int, steps: int, win: float, loss: float) -> Iterator[tuple[Integers, Integers]]:
    """Wins and losses so far, [CHUNK, steps] at a time."""
    random = np.random.default_rng(seed)
    for start in range(0, count, CHUNK):
        draws = random.random((min(CHUNK, count - start), steps), dtype=np.float32)
        yield np.cumsum(draws < win, axis=1), np.cumsum((draws >= win) & (draws < win + loss), axis=1)


def first(evidence: Floats) -> Floats:
    """Results until the decision, by stream; infinite where there is none."""
    reached = evidence >= 0
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def delays(evidence: Evidence, seed: int, count: int, steps: int, win: float, loss: float) -> Floats:
    """Results until the decision, of many streams."""
    return np.concatenate([first(evidence(*chunk)) for chunk in streams(seed, count, steps, win, loss)])


def false_promotions(count: int, steps: int) -> list[tuple[object, ...]]:
    """Shares of null streams in which a test decides for the candidate at any step."""
    half, edge = MARGIN / 2, 0.05
    cases: list[tuple[str, Evidence, float, float]] = [
        ("superiority, equal models, every subject discordant", superiority, 0.5, 0.5),
        ("superiority, equal models, 10 % discordant", superiority, edge, edge),
        ("non-inferiority, worse by the margin, 4 % discordant", non_inferiority, 0.02 - half, 0.02 + half),
        ("non-inferiority, worse by the margin, 10 % discordant", non_inferiority, edge - half, edge + half),
        ("naive z, equal models, every subject discordant", naive, 0.5, 0.5),
        ("naive z, equal models, 10 % discordant", naive, edge, edge),
    ]
    return [
        (name, f"{np.isfinite(delays(evidence, 1, count, steps, win, loss)).mean():.1%}")
        for name, evidence, win, loss in cases
    ]


def fixed_size(win: float, loss: float) -> int:
    """Results that a one-sided test of paired shares needs, fixed before (Miettinen 1968)."""
    gain, discordance = win - loss, win + loss
    power = NormalDist().inv_cdf(POWER)
    return int(np.ceil(((Z * discordance**0.5 + power * (discordance - gain**2) ** 0.5) / gain) ** 2))


def power(count: int, steps: int) -> list[tuple[object, ...]]:
    """Results until a candidate that is two points better is promoted, and those of a test of fixed size."""
    rows: list[tuple[object, ...]] = []
    for discordance in (0.04, 0.10):
        win, loss = discordance / 2 + 0.01, discordance / 2 - 0.01
        size = fixed_size(win, loss)
        for name, evidence in (("superiority", superiority), ("non-inferiority", non_inferiority)):
            found = delays(evidence, 2, count, steps, win, loss)
            rows.append((f"{name}, {discordance:.0%} discordant", *_spread(found), f"{(found <= size).mean():.0%}"))
        right = np.concatenate([
            (w[:, -1] - c[:, -1]) / np.sqrt(np.maximum(w[:, -1] + c[:, -1], 1)) > Z
            for w, c in streams(2, count, size, win, loss)
        ])  # fmt: skip
        rows.append((f"fixed size, {discordance:.0%} discordant", f"{size:,}", f"{size:,}", "–", f"{right.mean():.0%}"))
    for discordance in (0.10,):
        found = delays(non_inferiority, 3, count, steps, discordance / 2, discordance / 2)
        rows.append((f"non-inferiority of equal models, {discordance:.0%} discordant", *_spread(found), "–"))
    return rows


def _spread(found: Floats) -> tuple[str, str, str]:
    median, late = np.quantile(found, [0.5, 0.9], method="higher")
    return _number(median), _number(late), f"{np.isfinite(found).mean():.0%}"


def _number(results: float) -> str:
    return f"{results:,.0f}" if np.isfinite(results) else "–"


def mirror(count: int, steps: int, good: int = 500) -> list[tuple[object, ...]]:
    """Results from the moment a promoted model turns bad until its rollback is proposed."""
    rows: list[tuple[object, ...]] = []
    for points in (2, 5, 10):
        loss = 0.05 + points / 200
        before = streams(4, count, good, 0.05, 0.05)
        after = streams(5, count, steps, 0.10 - loss, loss)
        found = np.concatenate([
            first(superiority(*(np.hstack([x, x[:, -1:] + y]) for x, y in ((l0, l1), (w0, w1)))))
            for (w0, l0), (w1, l1) in zip(before, after, strict=True)
        ])  # fmt: skip
        late = found[found > good] - good
        rows.append((f"{points} points worse", *_spread(late), f"{(found <= good).mean():.1%}"))
    return rows


def clusters(count: int, size: int = 10, correlation: float = 0.3, subjects: int = 200) -> list[tuple[object, ...]]:
    """Shares of null streams called superior when each event of a subject counts, and when each subject does."""
    random = np.random.default_rng(6)
    shared = random.random((count, subjects, 1)) < correlation
    signs = np.where(random.random((count, subjects, size)) < 0.5, 1, -1)
    signs = np.where(shared, signs[:, :, :1], signs)
    by_event = signs.reshape(count, -1)
    by_subject = np.sign(signs.sum(axis=2))
    return [
        (name, f"{np.isfinite(first(superiority(np.cumsum(s > 0, axis=1), np.cumsum(s < 0, axis=1)))).mean():.1%}")
        for name, s in ((f"each of {size} events a subject", by_event), ("one result a subject", by_subject))
    ]


IMPRESSIONS, CLICK_RATE, SIGNAL = 8, 0.2, 1.0
"""Of a subject in a session that is decided at once; the signal is that of AUC 0.76."""


def events_until_proposed(count: int, sessions: int = 4_000, good: int = 1_000) -> list[tuple[object, ...]]:
    """Events from the moment a promoted model turns bad until its rollback is proposed, by results of samples."""
    rows: list[tuple[object, ...]] = []
    for name, signal in (("of shuffled labels (AUC 0.50)", 0.0), ("with half its signal (AUC 0.64)", SIGNAL / 2)):
        for share in (1.0, 0.25):
            signs = [_session_signs(run, sessions, good, signal) for run in range(count)]
            random = np.random.default_rng(8)
            found = np.array([_events(each, random.random(sessions) < share, good) for each in signs])
            rows.append((f"{name}, {share:.0%} of subjects", *_spread(found[found > 0]), f"{(found < 0).mean():.1%}"))
    return rows


def _session_signs(run: int, sessions: int, good: int, signal: float) -> Integers:
    """The sign of each session: 1 where the version before ordered it better, 2 where it shows one label only."""
    random = np.random.default_rng([7, run])
    size = sessions * IMPRESSIONS
    samples = [
        Sample(str(i), str(i // IMPRESSIONS), "search", "", "", "", 0, 0, i, int(random.random() < CLICK_RATE))
        for i in range(size)
    ]
    labels = np.array([sample.actions for sample in samples])
    common = random.normal(size=size)
    active, before = common + 0.5 * random.normal(size=(2, size))
    bad = np.arange(size) >= good * IMPRESSIONS
    scores = Scores(
        np.ones(size),
        "uniform",
        "active",
        predictions={
            SERVING: Predictions("active", active + labels * np.where(bad, signal, SIGNAL)),
            MIRROR: Predictions("before", before + labels * SIGNAL),
        },
    )
    (found,) = gains(samples, labels.tolist(), scores, "salt").values()
    subjects = [str(number) for number in range(sessions)]
    return np.array([np.sign(found[n]) if n in found else 2 for n in numbers(subjects, "salt")])


def _events(signs: Integers, compared: Booleans, good: int) -> float:
    """Events after the model turned bad; below 0 for a proposal before that, infinite for none."""
    wins, losses = np.cumsum(compared & (signs == 1)), np.cumsum(compared & (signs == -1))
    return (float(first(superiority(wins[None], losses[None]))[0]) - good) * IMPRESSIONS


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=2_000, help="of each kind")
    parser.add_argument("--steps", type=int, default=5_000, help="results of a null stream")
    parser.add_argument("--power-steps", type=int, default=20_000, help="results of a stream with a difference")
    options = parser.parse_args()
    print("# Shadow and mirror: false promotions, power and delay\n")
    print(f"`python benchmarks/shadow.py --streams {options.streams} --steps {options.steps} "
          f"--power-steps {options.power_steps}`\n")  # fmt: skip
    print(report.conditions("numpy", "scipy") + "\n")
    print(f"Decided at E ≥ 20, one-sided 5 %; margin of non-inferiority {MARGIN:g}; one result a subject.\n")
    title = f"False promotions in {options.streams:,} null streams of {options.steps:,} results, read at every one"
    print(report.table(title, ("test", "false"), false_promotions(options.streams, options.steps)), flush=True)
    few = max(1, options.streams // 4)
    title = f"Results until a candidate that wins 2 points more often than it loses is promoted, {few:,} streams"
    columns = ("test", "median", "90th percentile", f"within {options.power_steps:,}", "within the fixed size")
    print(report.table(title, columns, power(few, options.power_steps)), flush=True)
    title = f"Results until a rollback is proposed, of a model equal for 500 results, 10 % discordant, {few:,} streams"
    columns = ("then", "median", "90th percentile", "found", "false, before")
    print(report.table(title, columns, mirror(few, 5_000)), flush=True)
    title = f"Events until a rollback is proposed, sessions of {IMPRESSIONS} impressions, {CLICK_RATE:.0%} clicked"
    columns = ("the promoted model becomes one", "median", "90th percentile", "found", "false, before")
    print(report.table(title, columns, events_until_proposed(max(1, options.streams // 100))), flush=True)
    title = "Equal models, events of a subject correlated by 0.3: false promotions of the test of superiority"
    print(report.table(title, ("what counts", "false"), clusters(options.streams)))


if __name__ == "__main__":
    main()
