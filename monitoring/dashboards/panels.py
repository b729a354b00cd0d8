"""The kinds of panels: lines over time, numbers of now, and distributions over time.

A query is a PromQL expression and the legend of its series. It is written without the dashboard's cluster, which
`in_cluster` adds to each selector.
"""

import re
from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.dashboard import Panel as PanelModel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = Builder[PanelModel]
Query = tuple[str, str]

SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
COLUMNS = 24  # of Grafana's grid

_SELECTOR = re.compile(r"((?:\bcluster:|\b)weir_[\w:]+|\bprocess_\w+|\bALERTS\b)(?:\{([^}]*)\})?")


def in_cluster(expression: str) -> str:
    """Select the dashboard's clusters in each selector.

    >>> in_cluster('rate(weir_events_total{type="click"}[5m]) / cluster:weir_events:rate5m')
    'rate(weir_events_total{cluster=~"$cluster",type="click"}[5m]) / cluster:weir_events:rate5m{cluster=~"$cluster"}'
    """
    return _SELECTOR.sub(
        lambda found: f'{found[1]}{{cluster=~"$cluster"{"," + found[2] if found[2] else ""}}}', expression
    )


def lines(title: str, unit: str, description: str, *queries: Query) -> timeseries.Panel:
    """Return a panel of series over time, a third of the page wide."""
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .targets(_targets(queries))
        .span(COLUMNS // 3)
        .height(8)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def number(title: str, unit: str, description: str, *queries: Query) -> stat.Panel:
    """Return a panel of the newest values, a sixth of the page wide."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .targets(_targets(queries))
        .span(COLUMNS // 6)
        .height(4)
        .color_mode(BigValueColorMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def distribution(title: str, unit: str, description: str, histogram: str) -> heatmap.Panel:
    """Return a panel of how often the values of a histogram came, a third of the page wide."""
    buckets = f"sum by (le) (increase({histogram}_bucket[$__rate_interval]))"
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .with_target(_target(0, buckets, "{{le}}").format(PromQueryFormat.HEATMAP))
        .span(COLUMNS // 3)
        .height(8)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
    )


def quantiles(histogram: str, *shares: float) -> list[Query]:
    """Return a query for each quantile of a histogram."""
    return [
        (f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket[$__rate_interval])))", f"quantile {share}")
        for share in shares
    ]


def _targets(queries: Sequence[Query]) -> list[Builder[Dataquery]]:
    return [_target(index, expression, legend) for index, (expression, legend) in enumerate(queries)]


def _target(index: int, expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(in_cluster(expression)).legend_format(legend).ref_id(chr(ord("A") + index))
