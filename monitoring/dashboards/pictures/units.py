"""Write values as Grafana does, by the id of their unit. Knows the units that the dashboards use."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial


def written(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value in its unit; without ``decimals`` with three significant digits.

    >>> [written(0.25, "percentunit"), written(1536, "bytes"), written(90, "s"), written(1, "bool_yes_no")]
    ['25%', '1.50 KiB', '1.50 min', 'Yes']
    """
    if unit not in _WRITERS:
        raise ValueError(f"unit {unit!r} is not known: add it to {__name__}, written as by Grafana")
    if not math.isfinite(value):
        return f"{value:+}".replace("inf", "∞").lstrip("+")
    return _WRITERS[unit](value, decimals)


def written_ticks(values: Sequence[float], unit: str) -> list[str]:
    """Return the ticks of an axis, with the fewest decimals that are exact, four at most.

    >>> written_ticks([0, 0.025, 0.05], "percentunit")
    ['0%', '2.5%', '5.0%']
    """
    exact = [_number(written(value, unit, 6)) for value in values]
    for decimals in range(5):
        ticks = [written(value, unit, decimals if value else 0) for value in values]
        if [_number(tick) for tick in ticks] == exact:
            break
    return ticks


def _number(text: str) -> str:
    """Return the leading number of a text without its last zeros."""
    number = text.partition(" ")[0].rstrip("%")
    return number.rstrip("0").rstrip(".") if "." in number else number


def _digits(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = 0 if value == int(value) else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def _percent(value: float, decimals: int | None) -> str:
    return f"{_digits(100 * value, decimals)}%"


def _duration(value: float, decimals: int | None) -> str:
    _, seconds, name = next(row for row in _DURATIONS if (abs(value) or 1) < row[0])
    return f"{_digits(value / seconds, decimals)} {name}"


def _scaled(factor: int, suffixes: Sequence[str], value: float, decimals: int | None) -> str:
    power = math.floor(math.log(abs(value), factor) + 1e-12) if value else 0
    power = min(max(power, 0), len(suffixes) - 1)
    return f"{_digits(value / factor**power, decimals)}{suffixes[power]}"


def _yes_or_no(value: float, _: int | None) -> str:
    return "Yes" if value else "No"


def _time(milliseconds: float, _: int | None) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"


_DURATIONS = (  # shorter than this many seconds, written in units of this many
    (1e-6, 1e-9, "ns"), (1e-3, 1e-6, "µs"), (1, 1e-3, "ms"), (60, 1, "s"), (3600, 60, "min"), (86400, 3600, "hour"),
    (604800, 86400, "day"), (31536000, 604800, "week"), (math.inf, 31536000, "year"),
)  # fmt: skip
_WRITERS: Mapping[str, Callable[[float, int | None], str]] = {
    "none": _digits,
    "percentunit": _percent,
    "s": _duration,
    "bool_yes_no": _yes_or_no,
    "dateTimeAsIso": _time,
    "short": partial(_scaled, 1000, ("", " K", " Mil", " Bil")),
    "cps": partial(_scaled, 1000, (" c/s", "K c/s", "M c/s")),
    "reqps": partial(_scaled, 1000, (" req/s", "K req/s", "M req/s")),
    "bytes": partial(_scaled, 1024, (" B", " KiB", " MiB", " GiB", " TiB")),
}
