"""A picture in pixels from its upper left corner: boxes, texts, graphs over time and their legends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from monitoring.dashboards.pictures.source import Window

COLORS = {"green": "#1A7F37", "red": "#D1242F", "orange": "#E8730C"}
GREY, INK, LIGHT = "#6E7781", "#24292F", "#E4E7EB"
COLUMNS, COLUMN, ROW = 24, 56, 34  # of Grafana's grid; a cell in pixels

_DPI = 100
_LEFT, _RIGHT, _TOP, _BOTTOM, _LINE = 62, 12, 30, 24, 14  # around a graph, and a line of its legend
_LETTER = 5.3  # of the legend
_MAX_LEGEND_LINES = 4  # a panel of Grafana scrolls beyond


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels."""

    x: float
    y: float
    width: float
    height: float


class Canvas:
    """A picture of ``rows`` rows of the grid, over the time range ``window`` with its annotations, ``marks``."""

    def __init__(self, rows: int, window: Window, marks: Sequence[tuple[float, str]]) -> None:
        self.window = window
        self._marks = marks
        self._width, self._height = COLUMNS * COLUMN, rows * ROW
        self._figure = Figure((self._width / _DPI, self._height / _DPI), _DPI, facecolor="#F4F5F5")
        FigureCanvasAgg(self._figure)

    def text(self, x: float, y: float, text: str, *, size: float, **style: Any) -> None:
        """Write a text, by default in the color of ink."""
        self._figure.text(x / self._width, 1 - y / self._height, text, fontsize=size, **{"color": INK, **style})

    def frame(self, box: Box) -> None:
        """Draw the white ground of a panel."""
        corner, width, height = self._shares(Box(box.x + 4, box.y + 4, box.width - 8, box.height - 8))
        ground = Rectangle(corner, width, height, facecolor="white", edgecolor=LIGHT, zorder=-1)
        ground.set_transform(self._figure.transFigure)
        self._figure.add_artist(ground)

    def axes(self, box: Box, legend_lines: int = 0) -> Axes:
        """Return the axes of a panel: time to the right, with the annotations."""
        height = box.height - _TOP - _BOTTOM - legend_lines * _LINE
        corner, width, height = self._shares(Box(box.x + _LEFT, box.y + _TOP, box.width - _LEFT - _RIGHT, height))
        axes = self._figure.add_axes((*corner, width, height))
        axes.set_xlim(self.window.start, self.window.end)
        times = np.linspace(self.window.start, self.window.end, 6)[1:-1]
        axes.set_xticks(times, [f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}" for at in times])
        axes.tick_params(labelsize=7, length=0, colors=GREY)
        axes.grid(color=LIGHT, linewidth=0.6)
        axes.spines[:].set_visible(False)
        for at, color in self._marks:
            axes.axvline(at, color=color, linewidth=0.9, linestyle=(0, (4, 2)))
        return axes

    def legend(self, box: Box, names: Sequence[str], colors: Sequence[str]) -> int:
        """Write the names at the bottom of a panel; return the lines that they take."""
        lines: list[list[tuple[float, str, str]]] = [[]]
        at = 0.0
        for name, color in zip(names, colors, strict=True):
            needed = 22 + _LETTER * len(name)
            if lines[-1] and at + needed > box.width - 24:
                lines.append([])
                at = 0.0
            lines[-1].append((at, name, color))
            at += needed
        shown = lines[:_MAX_LEGEND_LINES]
        bottom = box.y + box.height - 10
        for row, line in enumerate(reversed(shown)):
            for offset, name, color in line:
                self.text(box.x + 14 + offset, bottom - row * _LINE, "━", size=7, color=color)
                self.text(box.x + 26 + offset, bottom - row * _LINE, name, size=7)
        hidden = sum(map(len, lines[_MAX_LEGEND_LINES:]))
        if hidden:
            more = {"ha": "right", "color": GREY, "backgroundcolor": "white"}
            self.text(box.x + box.width - 12, bottom, f"{hidden} more", size=7, **more)
        return len(shown)

    def save(self, file: Path) -> None:
        """Write the picture as a PNG file of 256 colors."""
        drawn = BytesIO()
        self._figure.savefig(drawn)
        Image.open(drawn).convert("RGB").quantize(256).save(file, optimize=True)

    def _shares(self, box: Box) -> tuple[tuple[float, float], float, float]:
        """Return lower left corner, width and height of a box as shares of the picture."""
        corner = (box.x / self._width, 1 - (box.y + box.height) / self._height)
        return corner, box.width / self._width, box.height / self._height
