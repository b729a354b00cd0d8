"""Convert settings into the policies of training. Separate from `values`, because it loads torch."""

from importance import tasks
from trainer.gate import GatePolicy
from trainer.shadow import ShadowPolicy
from trainer.triggers import TriggerPolicy
from trainer.tuning import EarlyStop, FineTuning, Optimisation
from trainer.tuning.methods import method
from weir.settings import Settings, values

OF_TRIGGERS = (
    "train_after_samples", "train_after_seconds", "train_after_mass", "train_on_drift", "train_on_drop",
    "train_cost_rate", "train_cooldown_seconds", "train_least_samples", "retry_limit_seconds",
)  # fmt: skip
"""The settings that `trigger` reads."""


def tuning(settings: Settings) -> FineTuning:
    """Return the parameters of a fine-tune."""
    return FineTuning(
        steps=settings.train_steps,
        fresh_share=settings.train_fresh_share,
        interpolation=settings.train_interpolation,
        processes=settings.train_processes,
        optimisation=Optimisation(
            batch_size=settings.train_batch,
            learning_rate=settings.learning_rate,
            method=method(settings.train_method, settings.train_rank),
            warmup_steps=settings.train_warmup_steps,
            layer_decay=settings.train_layer_decay,
            micro_batches=settings.train_micro_batches,
            bfloat16=settings.train_precision == "bfloat16",
            recompute=settings.train_recompute,
            stored_logits=settings.train_stored_logits,
            from_start=settings.train_from_start,
            average_decay=settings.train_ema,
            early_stop=EarlyStop(settings.train_validation_steps, settings.train_patience),
            tasks=tasks.parse(settings.train_tasks, values.positive_from(settings)),
        ),
    )


def gate(settings: Settings) -> GatePolicy:
    """Return when a candidate may be promoted."""
    return GatePolicy(
        margin=settings.gate_margin,
        alpha=settings.gate_alpha,
        min_samples=settings.gate_least_samples,
        attribute=settings.segment_attribute or "category",
        max_size_ratio=settings.gate_size_ratio,
        max_latency_ratio=settings.gate_latency_ratio,
    )


def shadow(settings: Settings) -> ShadowPolicy:
    """Return what decides about a candidate in shadow."""
    return ShadowPolicy(
        promote_by=settings.shadow_promote_by,
        margin=settings.shadow_margin,
        max_seconds=settings.shadow_limit_seconds,
        max_results=settings.shadow_limit_results,
    )


def trigger(settings: Settings, after_failure: bool = False) -> TriggerPolicy:
    """Return when a fine-tune starts; after a failed one it waits as long as before any other retry."""
    return TriggerPolicy(
        after_samples=values.train_after_samples(settings),
        after_seconds=settings.train_after_seconds,
        cooldown_seconds=max(settings.train_cooldown_seconds, settings.retry_limit_seconds if after_failure else 0.0),
        min_samples=settings.train_least_samples,
        on_drift=settings.train_on_drift == "on",
        after_mass=settings.train_after_mass,
        drop=settings.train_on_drop,
        cost_rate=settings.train_cost_rate,
    )
