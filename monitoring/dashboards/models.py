"""Models and training: what each version is worth, and what fine-tunes, promotions and rollbacks do."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.builders.stat import Panel as Number
from grafana_foundation_sdk.builders.timeseries import Panel as Lines
from grafana_foundation_sdk.models.common import BigValueTextMode

from monitoring.dashboards.page import page
from monitoring.dashboards.panels import COLUMNS, lines, number, quantiles

_METRICS = (
    ("auc", "AUC", "none"),
    ("log_loss", "Log-loss", "short"),
    ("calibration_error", "Calibration error", "percentunit"),
)


def build() -> Dashboard:
    """Return the dashboard."""
    state = [
        active_version(),
        time_since_activation(),
        training_frozen(),
        number(
            "Rollbacks", "short", "Rollbacks in the promotion log.",
            ("max by (result) (weir_rollbacks_total)", "{{result}}"),
        ),
        number(
            "Live trainers", "short", "One of them trains, the others stand by.",
            ('max(weir_processes{role="trainer"})', "trainers"), colors={0: "red", 1: "green"},
        ),
        number(
            "Recent versions", "short", "Versions that predicted some of the recent samples.",
            ('count(count by (version) (weir_model_quality{predictor="serving"}))', "versions"),
        ),
    ]  # fmt: skip
    quality = [auc(), auc_gain(), *(_quality(metric, title, unit) for metric, title, unit in _METRICS[1:])]
    quality = [panel.span(COLUMNS // 4) for panel in quality]
    versions = [_quality_by_version(metric, title, unit) for metric, title, unit in _METRICS]
    training = [
        training_runs(),
        lines(
            "Training time", "s", "A fine-tune from draw to gate, of those of the last hour.",
            *quantiles("weir_training_seconds", 0.5, 0.99, window="1h"),
        ),
        lines(
            "Samples in training", "short", "Samples of the buffer that the last fine-tune drew from.",
            ("max(weir_training_rows)", "samples"),
        ),
        lines(
            "Effective sample size in training", "percentunit",
            "Of the samples in training; a low ratio is a noisy loss.",
            ("min(weir_training_effective_sample_size / (weir_training_rows > 0))", "ratio"),
        ).max(1),
        lines(
            "Clipped weight", "percentunit", "Share of the total training weight removed by its upper bound, a bias.",
            ("max(weir_training_clipped_ratio)", "clipped"),
        ).axis_soft_max(0.01),
        lines(
            "Scores of rolled back versions", "short",
            "Samples of the buffer scored by versions in quarantine; the trainer scores them again.",
            ("max(weir_quarantined_rows)", "samples"),
        ),
        lines(
            "Weight bound", "short", "Upper bound of a training weight, in multiples of the mean.",
            ("max(weir_training_weight_clip)", "bound"),
        ),
    ]  # fmt: skip
    selection = [
        lines(
            "Selection advantage", "none", "AUC of training on selected samples less that on uniform ones; 95 %.",
            ("max(weir_selection_advantage)", "advantage"), ("max(weir_selection_advantage_low)", "low"),
            ("max(weir_selection_advantage_high)", "high"), floor=None,
        ).decimals(3),
        number(
            "Uniform samples only", "bool_yes_no", "Fine-tunes use uniform samples while selection hurts.",
            ("max(weir_selection_fallback)", "fallback"), colors={0: "green", 1: "orange"},
        ),
    ]  # fmt: skip
    live = [
        lines(
            "Subjects compared", "short", "What a candidate in shadow, or the version before, won on live traffic.",
            ("max by (test, result) (weir_comparison_subjects)", "{{test}} {{result}}"),
        ),
        number(
            "Rollback proposed", "bool_yes_no", "The version before has shown to be better than the active one.",
            ("max(weir_rollback_proposed)", "proposed"), colors={0: "green", 1: "red"},
        ),
    ]  # fmt: skip
    rollback = [
        lines(
            "Time to roll back", "s", "From a rollback's entry in the log to each worker's swap, of the last hour.",
            *quantiles("weir_rollback_seconds", 0.5, 0.99, window="1h"),
        ),
        lines(
            "Burn rate", "none", "Spending of the error budget of rollbacks, by window; 1 lasts exactly.",
            ('cluster:weir_objective:burn_rate{objective="rollback"}', "{{window}} {{cluster}}"),
            bound=1,
        ),
    ]  # fmt: skip
    return page(
        "models", "Models and training", "What each version is worth, and what training does.",
        {"State": state, "Quality": quality, "Versions": versions, "Training": training, "Selection": selection,
         "Live traffic": live, "Rollback": rollback},
        versions=True,
    )  # fmt: skip


def active_version() -> Number:
    """Return the panel of the active version."""
    return number(
        "Active version", "short", "The model version that the api serves.",
        ("max by (version) (weir_model_info)", "{{version}}"),
    ).text_mode(BigValueTextMode.NAME)  # fmt: skip


def time_since_activation() -> Number:
    """Return the panel of its age."""
    return number(
        "Time since activation", "s", "How long ago the active version was promoted or rolled back to.",
        ("time() - max(weir_model_activated_timestamp_seconds)", "age"),
    )  # fmt: skip


def training_frozen() -> Number:
    """Return the panel of the freeze."""
    return number(
        "Training frozen", "bool_yes_no", "A rollback freezes training until an operator resumes it.",
        ("max(weir_training_frozen)", "frozen"), colors={0: "green", 1: "orange"},
    )  # fmt: skip


def auc() -> Lines:
    """Return the panel of the AUC of each predictor."""
    return _quality(*_METRICS[0])


def auc_gain() -> Lines:
    """Return the panel of what learning gained."""
    return lines(
        "AUC gain", "none", "What the serving model gains over the first version; below 0 it is worse.",
        ("cluster:weir_auc_gain:difference", "gain {{cluster}}"),
    ).decimals(3)  # fmt: skip


def training_runs() -> Lines:
    """Return the panel of fine-tunes by result."""
    return lines(
        "Training runs", "short",
        "Fine-tunes that ended in the last hour, by result, those continued, and failed attempts to mirror in MLflow.",
        ("sum by (result) (increase(weir_training_runs_total[1h]))", "{{result}}"),
        ("sum(increase(weir_training_resumed_total[1h]))", "continued"),
        ("sum(increase(weir_mlflow_failures_total[1h]))", "MLflow mirror failed"),
    ).decimals(0)  # fmt: skip


def _quality(metric: str, title: str, unit: str) -> Lines:
    return lines(
        title, unit, "Prequential, of each predictor on the same recent samples.",
        (f'max by (predictor, slice) (weir_predictor_quality{{metric="{metric}"}})', "{{predictor}} {{slice}}"),
        floor=None,
    )  # fmt: skip


def _quality_by_version(metric: str, title: str, unit: str) -> Lines:
    return lines(
        f"{title} by version", unit, "Of the versions chosen above, on the recent samples that each predicted.",
        (f'max by (predictor, version) (weir_model_quality{{metric="{metric}",slice="all",version=~"$version"}})',
         "{{predictor}} {{version}}"),
        floor=None,
    )  # fmt: skip
