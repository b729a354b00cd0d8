"""The parameters of a fine-tune: how many steps, on which mixture, and how a step is made."""

from dataclasses import dataclass, field

from importance.errors import InvalidInput
from importance.tasks import Tasks
from trainer.tuning.early_stop import EarlyStop
from trainer.tuning.methods import Full, Method
from trainer.version_directory import INTERACTION, PAIR

LEARNING_RATES = {INTERACTION: 1e-3, PAIR: 1e-4}
"""By kind of network: one that was trained before forgets at the rate that the built-in one needs.

MiniLM on 3,000 samples of a shop's history, 47 steps: AUC .511 and one answer for all at 1e-3, .637 at 1e-4.
"""


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How a step is made: AdamW on what ``method`` trains, over batches of ``batch_size``.

    Gradients are clipped to ``clip_norm``. Without a ``learning_rate`` it is the network's of `LEARNING_RATES`, times
    the method's factor; it rises over the first ``warmup_steps``, and falls by ``layer_decay`` with each block towards
    the input. A batch is computed in ``micro_batches`` parts, in bfloat16 where that is safe if ``bfloat16``, and with
    ``recompute`` the encoder's activations are computed again instead of kept.

    The loss of a replayed row gains ``stored_logits`` times the squared distance of its logit to that stored with it,
    and the loss of a step ``from_start`` times half the squared distance of the trained weights from the start.
    ``early_stop`` needs validation samples; without any, every step is taken. Where ``average_decay`` is not 0 the
    model has the moving average of the weights over the steps, which is then judged.

    The loss of a row is that of its label, and of the further ``tasks`` by their weights, as far as their labels are
    known.
    """

    batch_size: int = 64
    learning_rate: float | None = None
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    method: Method = field(default_factory=Full)
    warmup_steps: int = 0
    layer_decay: float = 1.0
    micro_batches: int = 1
    bfloat16: bool = False
    recompute: bool = False
    stored_logits: float = 0.0
    from_start: float = 0.0
    early_stop: EarlyStop = field(default_factory=EarlyStop)
    average_decay: float = 0.0
    tasks: Tasks = field(default_factory=Tasks)

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        if self.batch_size < 1:
            raise InvalidInput(f"batch size is {self.batch_size}; it must be at least 1")
        for name, value in (("learning_rate", self.learning_rate), ("clip_norm", self.clip_norm)):
            if value is not None and not value > 0:
                raise InvalidInput(f"{name} is {value}; it must be above 0")
        for name, value in (("stored_logits", self.stored_logits), ("from_start", self.from_start)):
            if not value >= 0:
                raise InvalidInput(f"{name} is {value}; it must be at least 0")
        if self.warmup_steps < 0:
            raise InvalidInput(f"warm-up is {self.warmup_steps} steps; it must be at least 0")
        if not 0 < self.layer_decay <= 1:
            raise InvalidInput(f"layer decay is {self.layer_decay}; it must be above 0 and at most 1")
        if not 0 <= self.average_decay < 1:
            raise InvalidInput(f"average decay is {self.average_decay}; it must be at least 0 and below 1")
        if self.micro_batches < 1:
            raise InvalidInput(f"micro-batches is {self.micro_batches}; it must be at least 1")

    def rate_for(self, kind: str) -> float:
        """Return the learning rate for a network of that kind."""
        return self.learning_rate or LEARNING_RATES[kind] * self.method.rate_factor


@dataclass(frozen=True, slots=True)
class FineTuning:
    """An increment: ``steps`` batches, of which ``fresh_share`` is newer than the last watermark and the rest older.

    The candidate has ``interpolation`` of the tuned weights, and the rest of the serving version's. So many
    ``processes`` of this host compute each batch together.
    """

    steps: int = 32
    fresh_share: float = 0.5
    optimisation: Optimisation = field(default_factory=Optimisation)
    interpolation: float = 1.0
    processes: int = 1

    def __post_init__(self) -> None:
        """Refuse an increment that is none."""
        if self.steps < 1:
            raise InvalidInput(f"steps is {self.steps}; it must be at least 1")
        if self.processes < 1:
            raise InvalidInput(f"processes is {self.processes}; it must be at least 1")
        for name, value in (("fresh share", self.fresh_share), ("interpolation", self.interpolation)):
            if not 0 <= value <= 1:
                raise InvalidInput(f"{name} is {value}; it must be from 0 to 1")
