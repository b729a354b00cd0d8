"""Ask Prometheus what Grafana would ask for a panel: variables, step and interval of rates follow from the time range.

Every variable has its default: all clusters, all versions.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

ROUND_SECONDS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True)
class Window:
    """A time range in seconds since the epoch, and how often Prometheus scrapes."""

    start: float
    end: float
    scrape_seconds: float = 15

    def step_seconds(self, points: int) -> float:
        """Return the step of a query of at most ``points`` values: a round number, the scrape interval or more.

        >>> Window(0, 6 * 3600).step_seconds(500)
        60
        """
        least = max(self.scrape_seconds, (self.end - self.start) / points)
        return next((seconds for seconds in ROUND_SECONDS if seconds >= least), ROUND_SECONDS[-1])

    def times(self, step: float) -> NDArray[np.float64]:
        """Return the times of a query's values, multiples of the step: a reload moves nothing."""
        return np.arange(self.start // step, self.end // step + 1) * step


@dataclass(frozen=True)
class Series:
    """A series by its name in the legend; NaN at times of which Prometheus has no value."""

    name: str
    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def last(self) -> float | None:
        """Return the newest value that is not missing."""
        present = self.values[~np.isnan(self.values)]
        return float(present[-1]) if present.size else None


class Source:
    """A Prometheus at ``url``, asked for one time range."""

    def __init__(self, url: str, window: Window) -> None:
        self.window = window
        self._client = httpx.Client(base_url=url, timeout=60)

    def series(self, targets: list[dict[str, Any]], points: int) -> list[Series]:
        """Return the series of the queries of a panel that is ``points`` wide; fail where Prometheus refuses one."""
        step = self.window.step_seconds(points)
        return [found for target in targets for found in self._series(target, step)]

    def _series(self, target: dict[str, Any], step: float) -> list[Series]:
        query = substitute(target["expr"], step, self.window.scrape_seconds)
        if target.get("instant"):
            times = np.array([self.window.end])
            found = self._ask("query", query=query, time=times[0])
        else:
            times = self.window.times(step)
            found = self._ask("query_range", query=query, start=times[0], end=times[-1], step=step)
        pattern = target["legendFormat"]
        return [Series(legend(pattern, x["metric"]), x["metric"], times, _aligned(x, times, step)) for x in found]

    def _ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        answer = self._client.post(f"/api/v1/{path}", data=parameters).json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters['query']}: {answer['error']}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


def substitute(expression: str, step: float, scrape_seconds: float) -> str:
    """Return an expression with Grafana's values of its variables.

    >>> substitute('rate(a{cluster=~"$cluster"}[$__rate_interval])', step=60, scrape_seconds=15)
    'rate(a{cluster=~".*"}[75s])'
    """
    rate_seconds = max(step + scrape_seconds, 4 * scrape_seconds)
    return re.sub(r"\$(cluster|version)\b", ".*", expression.replace("$__rate_interval", f"{rate_seconds:g}s"))


def legend(pattern: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series.

    >>> legend("{{type}} {{outcome}}", {"type": "click", "outcome": "accepted"})
    'click accepted'
    """
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda label: labels.get(label[1], ""), pattern).strip()


def _aligned(found: dict[str, Any], times: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    values = np.full(times.size, np.nan)
    for at, value in found.get("values") or [found["value"]]:
        values[round((at - times[0]) / step)] = float(value)
    return values
