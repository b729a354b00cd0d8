"""How often the drift detectors report nothing but noise, how long they take to report a known shift, and on which days
they report one in a shop's stream.

    OPENBLAS_NUM_THREADS=1 python benchmarks/drift.py > benchmarks/results/drift.md
    python benchmarks/drift.py --parts dates --data online_retail

All streams but the shop's are drawn from fixed seeds, in blocks of 100 samples; river's detectors read the same
samples one by one. Alarms are the same on every machine, up to the last digits of floating point. One thread of BLAS:
on a busy machine several wait for each other, and their waiting is counted.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from scipy.stats import chi2

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _report as report
from benchmarks._drift_streams import SAMPLES, SHIFTS, STATIONARY, Stream
from datasets import NAMES as DATA_SETS
from datasets import complete_journey
from importance.arrays import Floats, Integers
from importance.drift.block import Block
from importance.drift.registry import SOURCES, Monitor, Spans, monitors

SPANS = Spans(expected_run_blocks=10_000)
BEFORE, AFTER = 200, 300
"""Blocks before a shift, and those in which it must be found."""


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
    """Alarms on stationary samples: by run, in all with an interval, as many as the setting allows; and CPU time."""
    rows: list[tuple[object, ...]] = []
    count, total = samples // SAMPLES, 0
    allowed = runs * count / SPANS.expected_run_blocks
    for monitor in monitors(SPANS):
        feature, found, spent = monitor.feature, [], 0.0
        for run in range(runs):
            blocks = summed(feature, stream.draw(feature, seeded(feature, run), count))
            started = process_time()
            found.append(len(alarms(monitor, blocks)))
            spent += process_time() - started
        total += sum(found)
        name = f"{monitor.test} on {feature}"
        rows.append((name, *_counts(found), f"{allowed:g}", f"{1e3 * spent / (runs * count):.2f}"))
    rows.append(("all monitors", "", total, _interval(total), f"{len(rows) * allowed:g}", ""))
    for name, make in rivals().items():
        for feature in RIVALS_READ:
            found, spent = [], 0.0
            for run in range(runs):
                values = np.concatenate(list(stream.draw(feature, seeded(feature, run), count)))
                started = process_time()
                found.append(len(river_alarms(make, values)))
                spent += process_time() - started
            rows.append((f"{name} on {feature}", *_counts(found), "", f"{1e3 * spent / (runs * count):.2f}"))
    return rows


def _counts(found: list[int]) -> tuple[object, ...]:
    total = sum(found)
    return f"{median(found):g} ({min(found)}–{max(found)})", total, _interval(total)


def _interval(count: int, level: float = 0.95) -> str:
    """The exact interval of a Poisson mean, by one count (Garwood 1936)."""
    tail = (1 - level) / 2
    low = chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return f"{low:.1f}–{chi2.isf(tail, 2 * count + 2) / 2:.1f}"


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


def print_stationary(options: argparse.Namespace) -> None:
    """Print the alarms on samples that do not drift."""
    columns = ("detector", "a run: median (range)", "in all", "95 % interval", "expected, at most", "CPU ms a block")
    uneven = replace(STATIONARY, block_spread=0.1)
    for stream, kind in ((STATIONARY, "alike"), (uneven, "whose level varies by 10 %, as hours of a day do")):
        rows = false_alarms(options.runs, options.samples, stream)
        title = f"Alarms on {options.runs} × {options.samples:,} stationary samples, in blocks {kind}"
        print(report.table(title, columns, rows), flush=True)


def print_shifts(options: argparse.Namespace) -> None:
    """Print the delays."""
    title = f"Samples from a shift to its alarm, {options.shifts} runs, {BEFORE * SAMPLES:,} samples before it"
    columns = ("shift", "detector", "delay: median (range)", "found", "runs with an alarm before")
    print(report.table(title, columns, delays(options.shifts)), flush=True)


def print_partitions(_: argparse.Namespace) -> None:
    """Print whether the sums of partitions add up."""
    print(report.table("Four partitions merged, and one", ("feature", "blocks", "sums"), partitions()), flush=True)


def print_dates(options: argparse.Namespace) -> None:
    """Print the days of the alarms over a shop's stream."""
    from benchmarks import _drift_dates as shops  # loads torch
    from weir.settings import read
    from weir.settings.drift import drift_monitors

    hourly = read()
    daily = hourly.model_copy(update=dict(zip(_DRIFT, (86_400.0, 28, 7), strict=True)))
    samples, hours = shops.samples_and_blocks(options.data, hourly)
    days, tests = shops.by_day(hours), drift_monitors(hourly)
    rows = zip(
        (f"{monitor.test} on {monitor.feature}" for monitor in tests),
        shops.alarm_days(tests, hours),
        shops.alarm_days(drift_monitors(daily), days),
        strict=True,
    )
    hour, day = (
        f"{len(blocks):,} blocks; expected at most {len(blocks) / run:.1f} a monitor"
        for blocks, run in (
            (hours, hourly.drift_expected_run_seconds / 3_600),
            (days, daily.drift_expected_run_seconds / 86_400),
        )
    )
    columns = ("monitor", f"by hours ({hour})", f"by days ({day})")
    title = f"Alarms over {options.data}, {samples:,} samples"
    print(report.table(title, columns, rows), flush=True)


_DRIFT = ("drift_block_seconds", "drift_reference_blocks", "drift_window_blocks")
PARTS = {"stationary": print_stationary, "shifts": print_shifts, "partitions": print_partitions, "dates": print_dates}


def main() -> None:
    """Print the tables of the chosen parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all of them")
    parser.add_argument("--runs", type=int, default=5, help="draws of a stationary stream")
    parser.add_argument("--samples", type=int, default=200_000, help="in each of them")
    parser.add_argument("--shifts", type=int, default=10, help="draws of a stream with a shift")
    parser.add_argument("--data", choices=DATA_SETS, default=complete_journey.NAME, help="the shop of the dates")
    options = parser.parse_args()
    print(f"# Drift: {', '.join(options.parts)}\n")
    print(f"`python benchmarks/drift.py {' '.join(sys.argv[1:])}`\n")
    print(report.conditions("numpy", "scipy", "river") + "\n")
    spans = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in asdict(SPANS).items())
    print(f"Blocks of {SAMPLES} samples; {spans}. river's detectors at their defaults, on single samples.\n")
    for part in options.parts:
        PARTS[part](options)


if __name__ == "__main__":
    main()
