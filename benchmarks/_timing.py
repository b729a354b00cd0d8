"""CPU time of ways to do the same thing, taken in turns, and the largest memory a process ever held."""

import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks._report import figure

Seconds = dict[str, list[float]]


def in_turns(ways: Mapping[str, Callable[[], object]], pairs: int, warm_up: int = 2) -> Seconds:
    """CPU seconds of each way, ``pairs`` times. Every turn runs all ways, each turn beginning with another one.

    So what else the machine does falls on all of them alike, and a ratio within a turn says more than two medians.
    """
    for _ in range(warm_up):
        for way in ways.values():
            way()
    names = list(ways)
    seconds: Seconds = {name: [] for name in names}
    gc.disable()
    for turn in range(pairs):
        gc.collect()
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            begin = time.process_time()
            ways[name]()
            seconds[name].append(time.process_time() - begin)
    gc.enable()
    return seconds


def speed(seconds: Seconds, name: str, than: str) -> list[float]:
    """How many times as fast a way is, turn by turn.

    >>> speed({"ours": [1.0, 2.0], "theirs": [2.0, 3.0]}, "ours", "theirs")
    [2.0, 1.5]
    """
    return [other / own for own, other in zip(seconds[name], seconds[than], strict=True)]


def quartiles(ratios: Sequence[float]) -> str:
    """The median, and the middle half in brackets.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    '3.00 (2.00–4.00)'
    """
    ordered = sorted(ratios)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return f"{figure(median(ordered))} ({figure(low)}–{figure(high)})"


def peak_megabytes() -> float:
    """The largest resident set of this process so far.

    Linux: that of the program itself; what getrusage says there includes the parent it was forked from.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except OSError:
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size / (1 << 20 if sys.platform == "darwin" else 1 << 10)
