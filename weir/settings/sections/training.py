"""Training: when a fine-tune starts, and how it goes."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from importance.errors import InvalidInput
from importance.sample import Outcome
from importance.tasks import parse as parse_tasks
from weir.settings.sections.base import Count, Seconds, Share
from weir.settings.sections.buffer import MIN_SAMPLES, Buffer, trainable_capacity


class Training(Buffer):
    """Triggers and optimization; extends the buffer, whose capacity bounds the samples that training may require."""

    train_after_samples: Count | None = Field(
        default=None, description="new samples that start a fine-tune; empty: by the base model"
    )
    train_after_seconds: Seconds = Field(
        default=86_400.0,
        gt=0,
        description="a fine-tune starts when so long has passed since the last one started, if there is anything new",
    )
    train_on_drift: Literal["on", "off"] = Field(
        default="on", description="a fine-tune starts after an alarm of drift, if there is anything new"
    )
    train_after_mass: float | None = Field(
        default=None,
        gt=0,
        le=1e12,
        description="importance of new samples that starts a fine-tune, in samples of average importance; empty: off",
    )
    train_on_drop: float | None = Field(
        default=None,
        ge=0,
        le=0.5,
        description="a fine-tune starts when the AUC over the latest samples lies so far below that on the holdout at "
        "the version's evaluation; empty: off",
    )
    train_cost_rate: float | None = Field(
        default=None,
        gt=0,
        le=1e12,
        description="a fine-tune starts when waiting has cost more than it: a second of training is worth so many "
        "samples of average importance that wait for a second; empty: off",
    )
    train_cooldown_seconds: Seconds = Field(default=5.0, description="least time between two fine-tunes")
    train_least_samples: Count = Field(
        default_factory=lambda known: max(1, min(MIN_SAMPLES, _capacity(known) // 2)),
        description="samples that may train which the buffer must hold before any fine-tune; "
        "default: 200, or half of their capacity if that is less",
    )
    train_steps: int = Field(default=32, ge=1, le=1_000_000, description="optimizer steps of a fine-tune")
    train_checkpoint_steps: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="steps between two checkpoints, from which another trainer continues a fine-tune when this one "
        "dies; 0: never, and a fine-tune of fewer steps has none",
    )
    train_batch: int = Field(default=64, ge=1, le=65_536, description="samples of one step")
    train_fresh_share: Share = Field(
        default=0.5,
        description="share of a batch from samples newer than the last watermark; the rest is replay from the buffer",
    )
    train_method: Literal["full", "head_only", "lora", "adalora", "adapters"] = Field(
        default="full", description="what a fine-tune trains: all weights, the head, or the head and few new weights"
    )
    train_rank: int = Field(
        default=8, ge=1, le=1024, description="rank of the new weights of lora, adalora and adapters"
    )
    train_warmup_steps: int = Field(
        default=0, ge=0, le=1_000_000, description="steps over which the learning rate rises to its full value"
    )
    train_layer_decay: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="factor of the learning rate with each block of the encoder towards the input",
    )
    train_micro_batches: int = Field(
        default=1,
        ge=1,
        le=65_536,
        description="parts in which a batch is computed, for less memory; the step is the same",
    )
    train_processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="processes of one host that compute each batch together, with WEIR_THREADS each, or a GPU each",
    )
    train_precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="what a network computes in when it trains; bfloat16 is for GPUs"
    )
    train_recompute: bool = Field(
        default=False,
        description="compute the encoder's activations again in the backward pass (gradient checkpointing)",
    )
    train_stored_logits: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="weight of the squared distance of a replayed sample's logit to that of its stored prediction",
    )
    train_from_start: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="weight of half the squared distance of the trained weights from those at the start",
    )
    train_interpolation: Share = Field(
        default=1.0, description="part of the tuned weights in a candidate; the rest is of the serving version's"
    )
    train_ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights over the steps of a fine-tune, which the candidate "
        "then has; 0: it has the last weights",
    )
    train_validation_steps: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="steps between two evaluations of a fine-tune, by a quarter of the holdout's subjects, which the "
        "gate then leaves out; the candidate has the weights of the lowest loss; 0: never",
    )
    train_patience: int = Field(
        default=3, ge=1, le=1_000_000, description="evaluations without a lower loss after which a fine-tune stops"
    )
    train_tasks: str = Field(
        default="",
        max_length=1_000,
        description="further labels that a fine-tune learns, each with its weight in the loss, "
        "e.g. add_to_cart,purchase=0.5",
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="of AdamW; empty: by the base model, 0.001 for the built-in one and 0.0001 for another",
    )
    control_every: int = Field(
        default=4,
        ge=0,
        le=1_000_000,
        description="every so many completed fine-tunes one is also made on uniform samples, to compare; 0: never",
    )
    selection_fallback: Literal["on", "off"] = Field(
        default="on",
        description="on: fine-tunes use uniform samples only while selection is shown to make the model worse",
    )
    race: Literal["watch", "off"] = Field(
        default="watch",
        description="watch: workers judge rival policies of selection on what they score; see weir selection show",
    )
    propensity_clip: float = Field(
        default=1.0,
        ge=1,
        le=1e6,
        description="most that 1 / propensity of an impression counts in its training weight; 1: it does not count",
    )

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        if self.train_least_samples > (capacity := _capacity(dict(self))):
            yield (
                f"WEIR_TRAIN_LEAST_SAMPLES is {self.train_least_samples}; it must be at most {capacity}, the capacity "
                "for samples that may train (WEIR_BUFFER_CAPACITY less WEIR_HOLDOUT_CAPACITY_SHARE of it), or no "
                "fine-tune would ever start"
            )
        try:
            parse_tasks(self.train_tasks, Outcome(self.positive_from))
        except InvalidInput as error:
            yield f"WEIR_TRAIN_TASKS does not fit: {error}"


def _capacity(known: Mapping[str, Any]) -> int:
    return trainable_capacity(known["buffer_capacity"], known["holdout_capacity_share"])
