"""What all dashboards have in common: variables, annotations, links between them, and rows of panels."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard, prometheus
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from monitoring.dashboards.panels import SOURCE, Panel, in_cluster

_ACTIVATED = "max by (cluster) (changes(weir_model_activated_timestamp_seconds[2m])) > 0"
_ROLLED_BACK = "max by (cluster) (changes(weir_rollbacks_total[2m])) > 0"


def page(
    name: str, title: str, description: str, rows: Mapping[str, Sequence[Panel]], *, versions: bool = False
) -> dashboard.Dashboard:
    """Return a dashboard of rows of panels; ``versions`` adds a variable of the models' versions."""
    built = (
        dashboard.Dashboard(f"Weir / {title}")
        .uid(f"weir-{name}")
        .description(description)
        .tags(["weir"])
        .readonly()
        .timezone("utc")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Weir")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["weir"])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_values("cluster", "weir_dependency_up"))
        .annotation(_annotation("Promotions", "green", f"{_ACTIVATED} unless {_ROLLED_BACK}"))
        .annotation(_annotation("Rollbacks", "red", _ROLLED_BACK))
    )
    if versions:
        built.with_variable(_values("version", in_cluster("weir_model_quality")))
    for heading, panels in rows.items():
        built.with_row(dashboard.Row(heading))
        for panel in panels:
            built.with_panel(panel)
    return built


def _values(label: str, series: str) -> dashboard.QueryVariable:
    """Return a variable of the values of a label; all of them, a series without the label included, by default."""
    return (
        dashboard.QueryVariable(label)
        .label(label.capitalize())
        .datasource(SOURCE)
        .query(f"label_values({series}, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NUMERICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def _annotation(name: str, color: str, expression: str) -> dashboard.AnnotationQuery:
    target = prometheus.Dataquery().ref_id(name).expr(in_cluster(expression)).legend_format(name)
    return (
        dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(color).target(target)  # type: ignore[arg-type]  # the SDK knows the targets of Grafana's own annotations alone
    )
