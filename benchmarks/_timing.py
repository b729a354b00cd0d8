"""CPU time of alternatives, interleaved, and the peak memory of a process."""

import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks._report import significant

Seconds = dict[str, list[float]]


def interleaved(ways: Mapping[str, Callable[[], object]], pairs: int, warm_up: int = 2) -> Seconds:
    """Measure the CPU seconds of each way, ``pairs`` times; every iteration runs all ways, starting with another one.

    So other load on the machine affects all ways equally: a ratio within an iteration has less noise than one of
    medians.
    """
    for _ in range(warm_up):
        for way in ways.values():
            way()
    names = list(ways)
    seconds: Seconds = {name: [] for name in names}
    gc.disable()
    for iteration in range(pairs):
        gc.collect()
        for shift in range(len(names)):
            name = names[(iteration + shift) % len(names)]
            started = time.process_time()
            ways[name]()
            seconds[name].append(time.process_time() - started)
    gc.enable()
    return seconds


def speed(seconds: Seconds, name: str, than: str) -> list[float]:
    """Return the speed of a way relative to another, by iteration.

    >>> speed({"ours": [1.0, 2.0], "theirs": [2.0, 3.0]}, "ours", "theirs")
    [2.0, 1.5]
    """
    return [other / own for own, other in zip(seconds[name], seconds[than], strict=True)]


def quartiles(ratios: Sequence[float]) -> str:
    """Format the median, with the quartiles in brackets.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    '3.00 (2.00–4.00)'
    """
    ordered = sorted(ratios)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return f"{significant(median(ordered))} ({significant(low)}–{significant(high)})"


def peak_megabytes() -> float:
    """Return the largest resident set of this process so far.

    On Linux that of the program itself: the value of getrusage includes the parent it was forked from.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except OSError:
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size / (1 << 20 if sys.platform == "darwin" else 1 << 10)
