"""The pictures of panels: axes, colors and what is written, from series as Prometheus has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monitoring.dashboards.pictures.canvas import COLORS, Box, Canvas
from monitoring.dashboards.pictures.kinds import KINDS, limits
from monitoring.dashboards.pictures.source import Series, Window
from tests.support.dashboards import panels

TIMES = np.arange(0.0, 600.0, 60.0)
PANELS = dict(panels())


def series(values: Any, **labels: str) -> Series:
    return Series("a series", labels, TIMES, np.broadcast_to(np.asarray(values, dtype=float), TIMES.shape))


@pytest.mark.parametrize(
    ("values", "defaults", "expected"),
    [
        (0, {"custom": {"axisSoftMin": 0}}, (0, 1)),
        (3, {"custom": {"axisSoftMin": 0}}, (0, 3)),
        (np.inf, {"custom": {"axisSoftMin": 0}}, (0, 1)),
        (np.linspace(1, 3, 10), {}, (0.9, 3.1)),  # of a width of 2 a twentieth on each side
        (np.linspace(-1, 3, 10), {"custom": {"axisSoftMin": 0}}, (-1, 3.2)),
        (0.5, {"max": 1, "custom": {"axisSoftMin": 0}}, (0, 1)),
        (0.2, {"custom": {"axisSoftMin": 0, "axisSoftMax": 1.1}}, (0, 1.1)),
    ],
)
def test_an_axis_holds_the_finite_values_and_its_soft_limits(values: Any, defaults: Any, expected: Any) -> None:
    assert limits([series(values)], defaults) == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_panel_is_drawn(kind: str, tmp_path: Path) -> None:
    panel = next(panel for panel in PANELS.values() if panel["type"] == kind)
    drawn = [series(np.linspace(1, 3, 10), le="0.5"), series(4, le="+Inf")]
    assert colors(panel, drawn, tmp_path) - colors(panel, None, tmp_path)


@pytest.mark.parametrize(("value", "color"), [(1, "green"), (0, "red")])
def test_a_state_and_a_number_have_the_color_of_their_value(value: float, color: str, tmp_path: Path) -> None:
    for name in ("Stream / Dependencies", "Overview / Dependencies"):
        assert (rgb(COLORS[color])) in colors(PANELS[name], [series(value)], tmp_path)


def test_the_panels_are_all_of_kinds_that_are_drawn() -> None:
    assert {panel["type"] for panel in PANELS.values()} == set(KINDS)


def colors(panel: dict[str, Any], drawn: list[Series] | None, directory: Path) -> set[tuple[int, ...]]:
    """The colors of the picture of one panel, of an empty one without series."""
    canvas = Canvas(9, Window(0, 600), [])
    if drawn:
        KINDS[panel["type"]](canvas, Box(0, 0, 448, 272), panel, drawn)
    canvas.save(directory / "panel.png")
    with Image.open(directory / "panel.png") as picture:
        return {color for _, color in picture.convert("RGB").getcolors(1_000_000) or []}


def rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color.removeprefix("#")))
