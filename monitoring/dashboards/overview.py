"""The overview: whether all runs, keeps up, and learns."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards import models, stream
from monitoring.dashboards.page import page
from monitoring.dashboards.panels import lines, number, quantiles

_CLIENTS = '{route!~"/metrics|/healthz|/readyz"}'
_ANSWERED = '{route!~"/metrics|/healthz|/readyz|/v1/stream"}'


def build() -> Dashboard:
    """Return the dashboard."""
    state = [
        number(
            "Firing alerts", "short", "Alerts of Weir that fire now; the runbook has a section for each.",
            ('count by (alertname) (ALERTS{alertname=~"Weir.+",alertstate="firing"})'
             ' or on () label_replace(vector(0), "alertname", "none", "", "")', "{{alertname}}"),
            colors={0: "green", 1: "red"},
        ),
        number(
            "Live processes", "short", "Processes of each role that sent a heartbeat in the last 20 s.",
            ("max by (role) (weir_processes)", "{{role}}"), colors={0: "red", 1: "green"},
        ),
        number(
            "Dependencies", "bool_yes_no", "Whether each dependency answers every process.",
            ("min by (dependency) (weir_dependency_up)", "{{dependency}}"), colors={0: "red", 1: "green"},
        ),
        models.active_version(),
        models.time_since_activation(),
        models.training_frozen(),
    ]  # fmt: skip
    flow = [
        stream.events(),
        lines(
            "Ingest backlog", "s", "How long reading what waits takes at the present speed.",
            ("cluster:weir_ingest_backlog:seconds", "backlog {{cluster}}"),
        ),
        lines(
            "Event-time lag", "s", "How far the partition that is furthest behind trails the wall clock.",
            ("max(weir_event_time_lag_seconds)", "lag"),
        ),
    ]  # fmt: skip
    learning = [models.auc(), models.auc_gain(), models.training_runs()]
    service = [
        lines(
            "Burn rate", "none", "Spending of the error budget of each latency objective; 1 lasts exactly.",
            ('cluster:weir_objective:burn_rate{window="1h"}', "{{objective}} {{cluster}}"),
            bound=1,
        ),
        lines(
            "HTTP requests", "reqps", "Requests answered per second, by status; probes and scrapes are left out.",
            (f"sum by (status) (rate(weir_http_requests_total{_CLIENTS}[$__rate_interval]))", "{{status}}"),
        ),
        lines(
            "HTTP time", "s", "From a request's headers to the end of its answer; listeners are left out as well.",
            *quantiles("weir_http_request_seconds", 0.5, 0.99, selector=_ANSWERED),
        ),
    ]  # fmt: skip
    ranking = [
        lines(
            "Ranking time", "s", "From a ranking's arrival to its predictions.",
            *quantiles("weir_rank_seconds", 0.5, 0.99),
        ),
        lines(
            "Items of a pass", "short", "Items of all rankings that were predicted at once.",
            *quantiles("weir_rank_pass_items", 0.5, 0.99),
        ),
        lines(
            "Items ranked", "short", "Items ranked per second, by whether their prediction was cached.",
            ("sum by (cached) (rate(weir_rank_items_total[$__rate_interval]))", "cached: {{cached}}"),
        ),
        lines(
            "Rankings dropped", "reqps", "Rankings per second that were not computed, by reason.",
            ("sum by (reason) (rate(weir_rank_dropped_total[$__rate_interval]))", "{{reason}}"),
        ),
    ]  # fmt: skip
    return page(
        "overview", "Overview", "Whether all runs, keeps up, and learns.",
        {"State": state, "Flow": flow, "Learning": learning, "Service": service, "Ranking": ranking},
    )  # fmt: skip
