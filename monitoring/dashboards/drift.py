"""Drift: how far the recent distributions are from their references."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards import models, stream
from monitoring.dashboards.page import page
from monitoring.dashboards.panels import LOGARITHMIC, lines, number

_SERIES = "{{test}} {{feature}} {{segment}}"


def build() -> Dashboard:
    """Return the dashboard."""
    state = [
        number(
            "Evaluated until", "dateTimeAsIso", "End of the last block of event time that was evaluated.",
            ("1000 * max(weir_drift_evaluated_timestamp_seconds)", "event time"),
        ),
        number(
            "Alarms today", "short", "Alarms of all tests in the last 24 hours.",
            ("sum(max by (test, feature, segment) (increase(weir_drift_alarms_total[24h])))", "alarms"),
            colors={0: "green", 0.5: "orange"},
        ).decimals(0),
    ]  # fmt: skip
    tests = [
        lines(
            "Statistic over threshold", "none", "Statistic of each test by its threshold: above 1 it has drifted.",
            ("max by (test, feature, segment) (weir_drift_statistic / weir_drift_threshold)", _SERIES),
            bound=1,
        ),
        lines(
            "Statistic", "none", "Statistic of each test.",
            ("max by (test, feature, segment) (weir_drift_statistic)", _SERIES), floor=None,
        ).scale_distribution(LOGARITHMIC),
        lines(
            "Alarms", "short", "Alarms in the last hour, by test, feature and segment.",
            ("sum(max by (test, feature, segment) (increase(weir_drift_alarms_total[1h])))", "all"),
            ("max by (test, feature, segment) (increase(weir_drift_alarms_total[1h])) > 0", _SERIES),
        ).decimals(0),
    ]  # fmt: skip
    followed = [
        models.auc(),
        lines(
            "Label rate", "percentunit", "Share of the samples that are positive, by surface.",
            ('sum by (surface) (rate(weir_samples_total{label="1"}[$__rate_interval]))'
             " / sum by (surface) (rate(weir_samples_total[$__rate_interval]))", "{{surface}}"),
        ),
        stream.events(),
    ]  # fmt: skip
    return page(
        "drift", "Drift", "How far recent distributions are from their references.",
        {"State": state, "Tests": tests, "What may follow or cause it": followed},
    )  # fmt: skip
