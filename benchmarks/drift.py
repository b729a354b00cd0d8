"""How often the drift detectors report nothing but noise, and how long they take to report a known shift.

    OPENBLAS_NUM_THREADS=1 python benchmarks/drift.py > benchmarks/results/drift.md

All streams are drawn here, from fixed seeds, in blocks of 100 samples; river's detectors read the same samples one by
one. Alarms are the same on every machine, up to the last digits of floating point. One thread of BLAS: on a busy
machine several wait for each other, and their waiting is counted.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _report as report
from importance.arrays import Floats, Integers
from importance.drift.block import Block
from importance.drift.registry import SOURCES, Monitor, Spans, monitors
from importance.sample import Outcome

SAMPLES = 100
"""In one block."""
SPANS = Spans(expected_run_blocks=10_000)
BEFORE, AFTER = 200, 300
"""Blocks before a shift, and those in which it must be found."""
WIDTH = 384
_CATEGORIES = 40
_OUTCOMES = tuple(Outcome)


@dataclass(frozen=True)
class Stream:
    """Parameters of the samples, at their stationary values; ``block_spread`` makes blocks differ (log scale)."""

    importance: float = 1.0
    click_rate: float = 0.05
    mix: float = 0.0
    text_length: float = 60.0
    turn: float = 0.0
    block_spread: float = 0.0

    def draw(self, feature: str, random: np.random.Generator, blocks: int) -> Iterator[Any]:
        """The values of ``blocks`` blocks in order, a hundred blocks at a time."""
        for start in range(0, blocks, 100):
            spread = random.standard_normal(min(100, blocks - start))
            level = np.exp(self.block_spread * np.repeat(spread, SAMPLES))
            yield _DRAWS[feature](self, random, level)

    def clicked(self, random: np.random.Generator, level: Floats) -> Floats:
        """The label of each sample."""
        return (random.random(len(level)) < self.click_rate * level).astype(np.float64)


def _loss(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Of a model that predicts the stationary rate for all."""
    clicked = stream.clicked(random, level)
    return -np.log(np.where(clicked == 1, STATIONARY.click_rate, 1 - STATIONARY.click_rate))


def _categories(stream: Stream, random: np.random.Generator, level: Floats) -> list[str]:
    """Of shares by Zipf's law."""
    weights = 1 / np.arange(1, _CATEGORIES + 1)
    weights[3] *= 1 + stream.mix
    return [f"category {index}" for index in random.choice(_CATEGORIES, len(level), p=weights / weights.sum())]


def _scores(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Lognormal."""
    return stream.importance * level * random.lognormal(-0.5, 1, len(level))


def _lengths(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Whole numbers, about lognormal."""
    return np.ceil(stream.text_length * level * random.lognormal(0, 0.5, len(level)))


def _prices(_: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Lognormal."""
    return level * random.lognormal(2.5, 1, len(level))


def _predictions(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Of a model that is calibrated, and unsure."""
    return random.beta(2, 2 / (stream.click_rate * level) - 2)


def _embeddings(stream: Stream, random: np.random.Generator, level: Floats) -> Floats:
    """Around a direction, at about 45° from it."""
    centre = np.zeros(WIDTH)
    centre[:2] = np.cos(stream.turn), np.sin(stream.turn)
    return centre + random.standard_normal((len(level), WIDTH)) / WIDTH**0.5


def _outcomes(stream: Stream, random: np.random.Generator, level: Floats) -> list[str]:
    """None, or one of the three that make a label, in fixed proportions."""
    which = random.choice([3, 4, 5], len(level), p=[0.7, 0.2, 0.1])
    return [_OUTCOMES[index] for index in np.where(stream.clicked(random, level) == 1, which, 0)]


_Draw = Callable[[Stream, np.random.Generator, Floats], Any]
_DRAWS: dict[str, _Draw] = {
    "loss": _loss,
    "click_rate": Stream.clicked,
    "mean_importance": _scores,
    "importance": _scores,
    "prediction": _predictions,
    "text_length": _lengths,
    "price": _prices,
    "category": _categories,
    "embedding": _embeddings,
    "outcome": _outcomes,
}
STATIONARY = Stream()
SHIFTS: dict[str, tuple[Stream, tuple[str, ...]]] = {
    "mean score × 1.25": (replace(STATIONARY, importance=1.25), ("mean_importance", "importance")),
    "label rate 5 % → 7.5 %": (replace(STATIONARY, click_rate=0.075), ("click_rate", "loss", "outcome", "prediction")),
    "a category's share 6 % → 11 %": (replace(STATIONARY, mix=1.0), ("category",)),
    "text length × 1.25": (replace(STATIONARY, text_length=75.0), ("text_length",)),
    "embedding direction by 15°": (replace(STATIONARY, turn=np.pi / 12), ("embedding",)),
}


def summed(feature: str, parts: Iterable[Any]) -> list[Block]:
    """The blocks of all values, in order."""
    blocks: list[Block] = []
    for values in parts:
        number = np.repeat(np.arange(len(values) // SAMPLES), SAMPLES)
        by_number = SOURCES[feature].feature.blocks(values, number)
        blocks += [by_number[block] for block in sorted(by_number)]
    return blocks


def alarms(monitor: Monitor, blocks: list[Block]) -> list[int]:
    """The blocks at which a change was reported."""
    state, found = monitor.detector.start(), []
    for number, block in enumerate(blocks):
        state, verdict = monitor.detector.update(state, block, monitor.seed(number))
        if verdict is not None and verdict.alarm:
            found.append(number)
    return found


def river_alarms(make: Callable[[], Any], values: Floats) -> list[int]:
    """The samples at which a detector of river reported a change."""
    detector, found = make(), []
    for number, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(number)
    return found


def rivals() -> dict[str, Callable[[], Any]]:
    """The detectors of river at their defaults."""
    from river import drift

    return {"river ADWIN": drift.ADWIN, "river PageHinkley": drift.PageHinkley}


RIVALS_READ = ("loss", "click_rate", "mean_importance")
"""Means; their unit is about 1, as the defaults of river expect."""


def seeded(feature: str, run: int) -> np.random.Generator:
    """The randomness of a run, the same for all detectors of one feature."""
    return np.random.default_rng([run, sorted(SOURCES).index(feature)])


def false_alarms(runs: int, samples: int, stream: Stream = STATIONARY) -> list[tuple[object, ...]]:
    """Alarms on stationary samples, by run, and CPU time of the detector a block."""
    rows: list[tuple[object, ...]] = []
    count = samples // SAMPLES
    for monitor in monitors(SPANS):
        feature, found, spent = monitor.feature, [], 0.0
        for run in range(runs):
            blocks = summed(feature, stream.draw(feature, seeded(feature, run), count))
            started = process_time()
            found.append(len(alarms(monitor, blocks)))
            spent += process_time() - started
        rows.append((f"{monitor.test} on {feature}", *_counts(found), f"{1e3 * spent / (runs * count):.2f}"))
    for name, make in rivals().items():
        for feature in RIVALS_READ:
            found, spent = [], 0.0
            for run in range(runs):
                values = np.concatenate(list(stream.draw(feature, seeded(feature, run), count)))
                started = process_time()
                found.append(len(river_alarms(make, values)))
                spent += process_time() - started
            rows.append((f"{name} on {feature}", *_counts(found), f"{1e3 * spent / (runs * count):.2f}"))
    return rows


def _counts(found: list[int]) -> tuple[str, str]:
    return f"{median(found):g} ({min(found)}–{max(found)})", str(sum(found))


def delays(runs: int) -> list[tuple[object, ...]]:
    """Samples from a shift to the first alarm after it."""
    rows: list[tuple[object, ...]] = []
    for shift, (shifted, features) in SHIFTS.items():
        for feature in features:
            pairs = [list(_before_and_after(feature, shifted, run)) for run in range(runs)]
            for monitor in monitors(SPANS):
                if monitor.feature == feature:
                    found = [[SAMPLES * (at + 1) for at in alarms(monitor, summed(feature, pair))] for pair in pairs]
                    rows.append((shift, f"{monitor.test} on {feature}", *_delays(found)))
            if feature in RIVALS_READ:
                for name, make in rivals().items():
                    found = [[at + 1 for at in river_alarms(make, np.concatenate(pair))] for pair in pairs]
                    rows.append((shift, f"{name} on {feature}", *_delays(found)))
    return rows


def _before_and_after(feature: str, shifted: Stream, run: int) -> Iterator[Any]:
    random = seeded(feature, run)
    yield from STATIONARY.draw(feature, random, BEFORE)
    yield from shifted.draw(feature, random, AFTER)


def _delays(found: list[list[int]]) -> tuple[object, ...]:
    at = BEFORE * SAMPLES
    early = sum(any(sample <= at for sample in run) for run in found)
    late = [min((sample for sample in run if sample > at), default=None) for run in found]
    delay = sorted(sample - at for sample in late if sample is not None)
    spread = f"{median(delay):,.0f} ({delay[0]:,}–{delay[-1]:,})" if delay else "–"
    return spread, f"{len(delay)} of {len(found)}", early


def partitions(blocks: int = 200, count: int = 4) -> list[tuple[object, ...]]:
    """Whether the sums of a stream in ``count`` partitions, merged in some order, are exactly those of one."""
    rows: list[tuple[object, ...]] = []
    for feature in sorted(SOURCES):
        random, merged, whole = seeded(feature, 0), [], []
        for values in STATIONARY.draw(feature, random, blocks):
            whole += summed(feature, [values])
            merged += _merged(feature, values, random.integers(0, count, len(values)), random.permutation(count))
        equal = all(
            one.count == other.count and np.array_equal(one.sums, other.sums)
            for one, other in zip(whole, merged, strict=True)
        )
        rows.append((feature, blocks, "equal" if equal else "DIFFERENT"))
    return rows


def _merged(feature: str, values: Any, partition: Integers, order: Integers) -> list[Block]:
    """The blocks of the values by way of partitions, added in that order."""
    added: dict[int, Block] = {}
    for own in order.tolist():
        chosen = np.flatnonzero(partition == own)
        part = values[chosen] if isinstance(values, np.ndarray) else [values[index] for index in chosen]
        for block, sums in SOURCES[feature].feature.blocks(part, chosen // SAMPLES).items():
            added[block] = added[block] + sums if block in added else sums
    return [added[block] for block in sorted(added)]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="draws of a stationary stream")
    parser.add_argument("--samples", type=int, default=200_000, help="in each of them")
    parser.add_argument("--shifts", type=int, default=10, help="draws of a stream with a shift")
    options = parser.parse_args()
    print("# Drift: false alarms and delays\n")
    print(
        "`OPENBLAS_NUM_THREADS=1 python benchmarks/drift.py "
        + " ".join(f"--{name} {value}" for name, value in vars(options).items())
        + "`\n"
    )
    print(report.conditions("numpy", "scipy", "river") + "\n")
    spans = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in asdict(SPANS).items())
    print(f"Blocks of {SAMPLES} samples; {spans}. river's detectors at their defaults, on single samples.\n")
    columns = ("detector", "a run: median (range)", "in all", "CPU ms a block")
    title = f"Alarms on {options.samples:,} stationary samples, {options.runs} runs"
    print(report.table(title, columns, false_alarms(options.runs, options.samples)), flush=True)
    title = "The same where the level of each block varies by 10 %, as hours of a day do"
    uneven = replace(STATIONARY, block_spread=0.1)
    print(report.table(title, columns, false_alarms(options.runs, options.samples, uneven)), flush=True)
    title = f"Samples from a shift to its alarm, {options.shifts} runs, {BEFORE * SAMPLES:,} samples before it"
    columns = ("shift", "detector", "delay: median (range)", "found", "runs with an alarm before")
    print(report.table(title, columns, delays(options.shifts)), flush=True)
    print(report.table("Four partitions merged, and one", ("feature", "blocks", "sums"), partitions()))


if __name__ == "__main__":
    main()
