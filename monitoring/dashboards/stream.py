"""The stream: what workers read, wait for, score and commit, and what is no valid event."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.builders.timeseries import Panel as Lines

from monitoring.dashboards.page import page
from monitoring.dashboards.panels import distribution, lines, quantiles, states

_PROCESS = "{{job}} {{instance}}"


def build() -> Dashboard:
    """Return the dashboard."""
    reading = [
        lines(
            "Events by outcome", "cps", "Events read per second, by type and outcome.",
            ("sum(rate(weir_events_total[$__rate_interval]))", "all"),
            ("sum by (type, outcome) (rate(weir_events_total[$__rate_interval])) > 0", "{{type}} {{outcome}}"),
        ),
        lines(
            "Unread records", "short", "End of each partition minus read position: 0 while workers keep up.",
            ("max by (partition) (weir_ingest_lag_records)", "{{partition}}"),
        ),
        lines(
            "Event-time lag", "s", "Wall clock minus event time, by partition; below 0 event time is in the future.",
            ("max by (partition) (weir_event_time_lag_seconds)", "{{partition}}"),
        ),
    ]  # fmt: skip
    joining = [
        lines(
            "Undecided records", "short", "End of each partition minus what is decided: about a window of records.",
            ("max by (partition) (weir_undecided_records)", "{{partition}}"),
        ),
        lines(
            "Oldest waiting impression", "s", "How long the next impression to decide has waited: up to the window.",
            ("max by (partition) (weir_join_oldest_seconds)", "{{partition}}"),
        ),
        lines(
            "Waiting impressions", "short", "Impressions that wait for their actions, over all workers.",
            ("sum(weir_join_pending)", "waiting"),
        ),
        lines(
            "Samples", "cps", "Impressions decided per second, by surface and label.",
            ("sum by (surface, label) (rate(weir_samples_total[$__rate_interval]))", "{{surface}} {{label}}"),
        ),
        lines(
            "Late impressions", "percentunit", "Share of the impressions that came after their window had closed.",
            ('sum(rate(weir_events_total{type="impression",outcome="late"}[$__rate_interval]))'
             ' / sum(rate(weir_events_total{type="impression"}[$__rate_interval]))', "late"),
        ),
        distribution("Lateness", "s", "How much too late those impressions came.", "weir_late_seconds"),
    ]  # fmt: skip
    scoring = [
        lines(
            "Time to score a batch", "s", "One forward pass, with the baseline's.",
            *quantiles("weir_scoring_seconds", 0.5, 0.99),
        ),
        lines("Batch size", "short", "Samples of a scored batch.", *quantiles("weir_batch_size", 0.5, 0.99)),
        lines(
            "Time to commit", "s", "From the fetch of the oldest record decided with a sample to its commit.",
            *quantiles("weir_window_to_buffer_seconds", 0.5, 0.99),
        ),
    ]  # fmt: skip
    troubles = [
        lines(
            "Dead letters", "cps", "Messages per second that are not valid events, by reason.",
            ("sum(rate(weir_dead_letters_total[$__rate_interval]))", "all"),
            ("sum by (reason) (rate(weir_dead_letters_total[$__rate_interval])) > 0", "{{reason}}"),
        ),
        states(
            "Dependencies", "Whether a dependency answers each process.",
            ("min by (dependency, job, instance) (weir_dependency_up)", f"{{{{dependency}}}} {_PROCESS}"),
        ),
        lines(
            "Burn rate", "none", "Spending of the error budget of scoring and commit, by window; 1 lasts exactly.",
            ('cluster:weir_objective:burn_rate{objective=~"scoring|commit"}', "{{objective}} {{window}} {{cluster}}"),
            bound=1,
        ),
    ]  # fmt: skip
    ours = "and on (job, instance) weir_dependency_up"
    processes = [
        lines(
            "CPU", "short", "Cores that each process uses.",
            (f"rate(process_cpu_seconds_total[$__rate_interval]) {ours}", _PROCESS),
        ),
        lines(
            "Memory", "bytes", "Resident memory of each process.",
            (f"process_resident_memory_bytes {ours}", _PROCESS),
        ),
        lines("Open files", "short", "Open files of each process.", (f"process_open_fds {ours}", _PROCESS)),
    ]  # fmt: skip
    return page(
        "stream", "Stream", "What workers read, wait for, score and commit.",
        {"Reading": reading, "Joining": joining, "Scoring": scoring, "Troubles": troubles, "Processes": processes},
    )  # fmt: skip


def events() -> Lines:
    """Return the panel of events by type."""
    return lines(
        "Events", "cps", "Events read per second, by type.",
        ("sum by (type) (rate(weir_events_total[$__rate_interval]))", "{{type}}"),
    )  # fmt: skip
