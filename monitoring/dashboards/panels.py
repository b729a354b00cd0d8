"""The kinds of panels: lines over time, numbers of now, states and distributions over time.

A query is a PromQL expression and the legend of its series. It is written without the dashboard's cluster, which
`in_cluster` adds to each selector.
"""

import re
from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    ScaleDistribution,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.dashboard import Panel as PanelModel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = Builder[PanelModel]
Query = tuple[str, str]
Colors = Mapping[float, str]  # by the value from which on they hold

SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
COLUMNS = 24  # of Grafana's grid
LOGARITHMIC = common.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10)

_SELECTOR = re.compile(r"((?:\bcluster:|\b)weir_[\w:]+|\bprocess_\w+|\bALERTS\b)(?:\{([^}]*)\})?")


def in_cluster(expression: str) -> str:
    """Select the dashboard's clusters in each selector.

    >>> in_cluster('rate(weir_events_total{type="click"}[5m]) / cluster:weir_events:rate5m')
    'rate(weir_events_total{cluster=~"$cluster",type="click"}[5m]) / cluster:weir_events:rate5m{cluster=~"$cluster"}'
    """
    return _SELECTOR.sub(
        lambda found: f'{found[1]}{{cluster=~"$cluster"{"," + found[2] if found[2] else ""}}}', expression
    )


def lines(
    title: str, unit: str, description: str, *queries: Query, floor: float | None = 0, bound: float | None = None
) -> timeseries.Panel:
    """Return a panel of series over time, a third of the page wide.

    Its axis reaches down to ``floor``, unless that is None; a line is drawn at the ``bound`` that series may reach.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .targets(_targets(queries))
        .span(COLUMNS // 3)
        .height(8)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if floor is not None:
        panel.axis_soft_min(floor)
    if bound is not None:
        style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_steps({0: "green", bound: "red"})).thresholds_style(style).axis_soft_max(1.1 * bound)
    return panel


def number(title: str, unit: str, description: str, *queries: Query, colors: Colors | None = None) -> stat.Panel:
    """Return a panel of the present values, a sixth of the page wide; nothing where a series has ended."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .targets([_target(index, query).instant() for index, query in enumerate(queries)])
        .span(COLUMNS // 6)
        .height(4)
        .color_mode(BigValueColorMode.VALUE if colors else BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    return panel.thresholds(_steps(colors)) if colors else panel


def states(title: str, description: str, query: Query) -> statetimeline.Panel:
    """Return a panel of bars over time, green while a series is 1 and red while it is 0, a third of the page wide."""
    texts = {"1": ValueMappingResult(text="Yes", color="green"), "0": ValueMappingResult(text="No", color="red")}
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .unit("bool_yes_no")
        .datasource(SOURCE)
        .targets(_targets([query]))
        .span(COLUMNS // 3)
        .height(8)
        .mappings([ValueMap(options=texts)])
        .show_value(VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(False))
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
        .with_target(_target(0, (buckets, "{{le}}")).format(PromQueryFormat.HEATMAP))
        .span(COLUMNS // 3)
        .height(8)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
    )


def quantiles(histogram: str, *shares: float, selector: str = "", window: str = "$__rate_interval") -> list[Query]:
    """Return a query for each quantile of a histogram, over the observations of ``window``."""
    observed = f"sum by (le) (rate({histogram}_bucket{selector}[{window}]))"
    return [(f"histogram_quantile({share}, {observed})", f"quantile {share}") for share in shares]


def _targets(queries: Sequence[Query]) -> list[Builder[Dataquery]]:
    return [_target(index, query) for index, query in enumerate(queries)]


def _target(index: int, query: Query) -> prometheus.Dataquery:
    expression, legend = query
    return prometheus.Dataquery().expr(in_cluster(expression)).legend_format(legend).ref_id(chr(ord("A") + index))


def _steps(colors: Colors) -> dashboard.ThresholdsConfig:
    """Return the steps of colors; the first holds for all that is below the second."""
    steps = [Threshold(value=at if index else None, color=color) for index, (at, color) in enumerate(colors.items())]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
