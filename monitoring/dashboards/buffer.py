"""Importance and the buffer: what is scored how high, what of it is kept, and how the buffer is filled."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.page import page
from monitoring.dashboards.panels import LOGARITHMIC, distribution, lines, quantiles


def build() -> Dashboard:
    """Return the dashboard."""
    importance = [
        distribution("Importance", "short", "Raw importance of the samples that were scored.", "weir_importance"),
        lines(
            "Importance quantiles", "short", "The same by quantile.",
            *quantiles("weir_importance", 0.1, 0.5, 0.9), floor=None,
        ).scale_distribution(LOGARITHMIC),
        lines(
            "Non-finite scores", "cps", "Samples per second whose score was not finite; the floor replaced it.",
            ("sum(rate(weir_scores_non_finite_total[$__rate_interval]))", "samples"),
        ),
    ]  # fmt: skip
    admission = [
        lines(
            "Offers", "cps", "Samples offered to the buffer per second, by decision.",
            ("sum by (decision) (rate(weir_buffer_offers_total[$__rate_interval]))", "{{decision}}"),
        ),
        lines(
            "Kept ratio", "percentunit", "Share of the offers that were kept; falls as the stream grows.",
            ('sum(rate(weir_buffer_offers_total{decision="kept"}[$__rate_interval]))'
             " / sum(rate(weir_buffer_offers_total[$__rate_interval]))", "kept"),
        ),
        lines(
            "Effective sample size", "short", "Effective size of the weighted buffer in training, in uniform samples.",
            ("max(weir_buffer_effective_sample_size)", "samples"),
        ),
    ]  # fmt: skip
    strata = [
        lines(
            "Samples by stratum", "short", "Samples in the buffer.",
            ("max by (stratum) (weir_buffer_items)", "{{stratum}}"),
        ),
        lines(
            "Fill", "percentunit", "Samples of each stratum by its capacity.",
            ("max by (stratum) (weir_buffer_items) / max by (stratum) (weir_buffer_capacity)", "{{stratum}}"),
        ).max(1),
        lines(
            "Largest share of one subject", "percentunit", "Bounded by WEIR_SUBJECT_SHARE.",
            ("max by (stratum) (weir_buffer_largest_subject_share)", "{{stratum}}"),
        ),
    ]  # fmt: skip
    return page(
        "buffer", "Importance and buffer", "What is scored how high, and what of it is kept.",
        {"Scores": importance, "Admission": admission, "Strata": strata},
    )  # fmt: skip
