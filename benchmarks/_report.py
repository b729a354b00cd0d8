"""The output of benchmarks: Markdown tables, and the conditions of the measurements."""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from weir.local.install import KAFKA, POSTGRES


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table; all but the first column are numbers.

    >>> print(table("Speed", ["what", "a second"], [["one", 1], ["other", 20]]))
    **Speed**
    <BLANKLINE>
    | what | a second |
    |---|---:|
    | one | 1 |
    | other | 20 |
    <BLANKLINE>
    """
    lines = [f"| {' | '.join(map(str, row))} |" for row in [columns, *rows]]
    lines.insert(1, "|---" + "|---:" * (len(columns) - 1) + "|")
    return "\n".join([f"**{title}**", "", *lines, ""])


def spread(values: Sequence[float], unit: str = "") -> str:
    """Format the median with the smallest and largest value.

    >>> spread([2.0, 1.0, 12.0])
    '2.00 (1.00–12.0)'
    """
    return f"{significant(median(values))}{unit} ({significant(min(values))}–{significant(max(values))})"


def significant(value: float) -> str:
    """Format a number with three significant digits.

    >>> [significant(value) for value in (0.1234, 4.567, 45.67, 1234.5, 1234567)]
    ['0.123', '4.57', '45.7', '1,234', '1,234,567']
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.{1 if value >= 10 else 2}f}"


def conditions(*packages: str) -> str:
    """Return day, machine and versions in one paragraph."""
    day = datetime.now(UTC).date().isoformat()
    servers = ", ".join(":".join(name.split(":")[1:]).replace("-{platform}", "") for name in (KAFKA, POSTGRES))
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{day}; {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; "
        f"Python {platform.python_version()}, {versions}; {servers}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
