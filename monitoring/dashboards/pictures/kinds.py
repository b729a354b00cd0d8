"""Draw the content of a panel by its kind: lines, numbers, a distribution or states over time."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, Locator, MaxNLocator, MultipleLocator

from monitoring.dashboards.pictures.canvas import COLORS, GREY, INK, Box, Canvas
from monitoring.dashboards.pictures.source import ROUND_SECONDS, Series
from monitoring.dashboards.pictures.units import written, written_ticks

Panel = dict[str, Any]

_PALETTE = (
    "#73BF69", "#F2CC0C", "#5794F2", "#FF9830", "#F2495C", "#B877D9", "#37872D", "#1F60C4", "#FA6400", "#8F3BB8",
)  # fmt: skip


def lines(canvas: Canvas, box: Box, panel: Panel, series: Sequence[Series]) -> None:
    """Draw a line a series, a point where it has a single value, and the thresholds."""
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    colors = list(islice(cycle(_PALETTE), len(series)))
    axes = canvas.axes(box, canvas.legend(box, [each.name for each in series], colors))
    for color, each in zip(colors, series, strict=True):
        axes.plot(each.times, each.values, color=color, linewidth=1.2)
        missing = np.isnan(np.pad(each.values, 1, constant_values=np.nan))
        alone = ~missing[1:-1] & missing[:-2] & missing[2:]
        axes.plot(each.times[alone], each.values[alone], "o", color=color, markersize=2.5)
    if custom.get("scaleDistribution", {}).get("type") == "log":
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(FixedLocator([]))
    else:
        axes.set_ylim(*limits(series, defaults))
        axes.yaxis.set_major_locator(_locator(axes.get_ylim()[1], defaults))
    if custom.get("thresholdsStyle", {}).get("mode", "off") != "off":
        for step in defaults["thresholds"]["steps"][1:]:
            axes.axhline(step["value"], color=COLORS[step["color"]], linewidth=1, linestyle="--")
    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    even = axes.get_yscale() == "linear"
    texts = written_ticks(ticks, defaults["unit"]) if even else [written(tick, defaults["unit"]) for tick in ticks]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter(texts))


def numbers(canvas: Canvas, box: Box, panel: Panel, series: Sequence[Series]) -> None:
    """Write the newest value of each series large, and its name below."""
    defaults, options = panel["fieldConfig"]["defaults"], panel["options"]
    newest = [(each.name, each.last) for each in series if each.last is not None]
    width = box.width / len(newest)
    for index, (name, value) in enumerate(newest):
        text, below = written(value, defaults["unit"], defaults.get("decimals")), name
        if options["textMode"] == "name":
            text, below = name, ""
        color = _threshold_color(defaults, value) if options["colorMode"] != "none" else INK
        middle = box.x + (index + 0.5) * width
        size, small = (
            min(most, share * width / max(len(of), 1)) for most, share, of in ((22, 0.9, text), (8, 1.1, below))
        )
        canvas.text(middle, box.y + 0.62 * box.height, text, size=size, ha="center", color=color)
        canvas.text(middle, box.y + 0.84 * box.height, below, size=small, ha="center", color=GREY)


def distribution(canvas: Canvas, box: Box, panel: Panel, series: Sequence[Series]) -> None:
    """Draw the counts between the bounds of a histogram; Grafana takes the differences of its cumulative buckets."""
    bounds = {float(each.labels["le"].replace("+Inf", "inf")): each for each in series}
    ordered = sorted(bounds)
    counts = np.diff(np.nan_to_num([bounds[bound].values for bound in ordered]), axis=0, prepend=0)
    counts[counts <= 0] = np.nan
    times = series[0].times
    axes = canvas.axes(box)
    edges = np.append(times, times[-1] + times[1] - times[0])
    axes.pcolormesh(edges, np.arange(len(ordered) + 1), counts, cmap="Oranges", vmin=0)
    unit = panel["options"]["yAxis"]["unit"]
    every = max(1, len(ordered) // 7)
    axes.set_yticks(np.arange(len(ordered))[::every] + 1, [written(bound, unit) for bound in ordered][::every])


def states(canvas: Canvas, box: Box, panel: Panel, series: Sequence[Series]) -> None:
    """Draw a bar a series in the colors to which its values are mapped."""
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    axes = canvas.axes(box)
    axes.set_ylim(len(series), 0)
    axes.set_yticks([])
    for row, each in enumerate(series):
        axes.text(canvas.window.start, row + 0.2, f" {each.name}", fontsize=7, color=INK)
        for value, shown in mapping["options"].items():
            held = each.values == float(value)
            axes.fill_between(each.times, row + 0.35, row + 0.85, held, color=COLORS[shown["color"]], linewidth=0)


KINDS: Mapping[str, Callable[[Canvas, Box, Panel, Sequence[Series]], None]] = {
    "timeseries": lines,
    "stat": numbers,
    "heatmap": distribution,
    "state-timeline": states,
}


def limits(series: Sequence[Series], defaults: Mapping[str, Any]) -> tuple[float, float]:
    """Return the range of an axis: of the finite values, widened to the soft limits and replaced by the hard ones."""
    values = np.concatenate([each.values for each in series])
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    margin = 0.05 * (high - low)
    custom = defaults.get("custom", {})
    low = defaults.get("min", min(low, custom.get("axisSoftMin", low - margin)))
    high = defaults.get("max", max(high + margin, custom.get("axisSoftMax", high)))
    return low, high if high > low else low + 1


def _locator(high: float, defaults: Mapping[str, Any]) -> Locator:
    """Return what finds round ticks in a unit."""
    if defaults["unit"] == "bytes":
        return MultipleLocator(2 ** math.ceil(math.log2(high / 5)))
    if defaults["unit"] == "s" and high > 90:
        return MultipleLocator(next((step for step in ROUND_SECONDS if step >= high / 5), high / 5))
    return MaxNLocator(5, integer=defaults.get("decimals") == 0)


def _threshold_color(defaults: Mapping[str, Any], value: float) -> str:
    reached = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    return COLORS[reached[-1]["color"]]
