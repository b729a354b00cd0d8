"""Draw a dashboard as a picture: each panel in its grid position."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from monitoring.dashboards.files import DIRECTORY
from monitoring.dashboards.pictures.canvas import COLORS, COLUMN, COLUMNS, GREY, ROW, Box, Canvas
from monitoring.dashboards.pictures.kinds import KINDS, Panel
from monitoring.dashboards.pictures.source import Source


def draw_all(source: Source, directory: Path) -> list[str]:
    """Draw each dashboard into a directory, which is made; return the panels without data, *Dashboard / Panel*."""
    directory.mkdir(parents=True, exist_ok=True)
    empty = []
    for file in sorted(DIRECTORY.glob("*.json")):
        dashboard = json.loads(file.read_text())
        found = draw(dashboard, source, directory / f"{file.stem}.png")
        empty += [f"{dashboard['title']} / {title}" for title in found]
    return empty


def draw(dashboard: dict[str, Any], source: Source, file: Path) -> list[str]:
    """Draw a dashboard into a PNG file; return the titles of the panels without data."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    canvas = Canvas(rows, source.window, _marks(dashboard, source))
    empty = [panel["title"] for panel in dashboard["panels"] if not _add(panel, canvas, source)]
    canvas.save(file)
    return empty


def _marks(dashboard: dict[str, Any], source: Source) -> list[tuple[float, str]]:
    """Return the times at which each annotation starts, with its color."""
    marks = []
    for annotation in dashboard["annotations"]["list"]:
        for series in source.series([annotation["target"]], COLUMNS * COLUMN):
            present = ~np.isnan(series.values)
            starts = present & ~np.concatenate([[False], present[:-1]])
            marks += [(at, COLORS[annotation["iconColor"]]) for at in series.times[starts]]
    return marks


def _add(panel: Panel, canvas: Canvas, source: Source) -> bool:
    """Draw a panel; return whether it has data. A row is a heading, and has no need of any."""
    grid = panel["gridPos"]
    box = Box(grid["x"] * COLUMN, grid["y"] * ROW, grid["w"] * COLUMN, grid["h"] * ROW)
    if panel["type"] == "row":
        canvas.text(box.x + 8, box.y + 0.6 * box.height, f"▾ {panel['title']}", size=10, weight="bold")
        return True
    canvas.frame(box)
    canvas.text(box.x + 12, box.y + 18, panel["title"], size=8.5, weight="bold")
    series = source.series(panel["targets"], int(box.width))
    if all(each.last is None for each in series):
        canvas.text(box.x + box.width / 2, box.y + box.height / 2, "No data", size=12, color=GREY, ha="center")
        return False
    KINDS[panel["type"]](canvas, box, panel, series)
    return True
