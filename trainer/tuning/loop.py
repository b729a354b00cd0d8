"""The steps of a fine-tune, with a state that can be taken between any two of them and put into another loop.

Knows neither where the rows come from nor where a state is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from importance.errors import InvalidInput
from trainer.forward import wearing
from trainer.model import losses, positive_probability, task_losses
from trainer.tuning import anatomy
from trainer.tuning.averaging import averaged
from trainer.tuning.batches import Indices, TrainingBatches
from trainer.tuning.early_stop import Evaluations, best
from trainer.tuning.methods import Attached
from trainer.tuning.moments import moments_of, put_moments, trained
from trainer.tuning.optimisation import Optimisation
from trainer.tuning.processes import Processes
from trainer.tuning.rates import rate_groups, warm
from trainer.tuning.retention import distances, from_start
from trainer.tuning.validation import Validation
from trainer.version_directory import Model, Weights


@dataclass(frozen=True, eq=False, slots=True)
class LoopState:
    """All that a loop's next steps depend on besides its arguments: tensors by name and two numbers, all copies.

    ``steps`` done, the sum ``loss`` of their means in nats, ``right`` [m] whether the model was, on each row met.
    ``weights`` are those that are trained, ``method`` what the fine-tuning method keeps besides them.
    ``validated`` [e] are the validation losses so far, float64, in nats, and ``best`` the weights of the lowest one;
    ``average`` that of the weights over the steps, empty without one.
    """

    steps: int
    loss: float
    right: Tensor
    weights: Weights
    moments: Weights
    method: Weights
    validated: Tensor
    best: Weights
    average: Weights


@dataclass(frozen=True, eq=False, slots=True)
class Tuned:
    """The model after ``steps``; ``finished`` is False when it was told to stop before the last one.

    ``loss`` is the weighted mean over all steps, in nats, of each batch before the step it caused. ``met`` are the
    (query, item) numbers [m] of all batches' rows, in order, ``right`` [m] whether the model was, on each, and ``rows``
    [m] their numbers among the samples that were given. ``evaluations``, where there were any, name the step whose
    weights the model has.
    """

    model: Model
    steps: int
    loss: float
    finished: bool
    met: Indices
    right: NDArray[np.bool_]
    rows: Indices
    evaluations: Evaluations | None = None


@dataclass(eq=False, slots=True)
class TrainingLoop:
    """One AdamW step for each batch, on the weighted loss, in place of the model.

    Dropout depends on ``seed`` and the step's number alone, and with several ``processes`` on which one this is.
    The same arguments, and the same calls of `step`, give the same weights; so does any split of them over two loops
    by `state` and `restore`. What others draw from torch's generators does not matter, and theirs stay as they were.
    """

    model: Model
    data: TrainingBatches
    optimisation: Optimisation
    seed: int
    processes: Processes = field(default_factory=Processes)
    steps: int = field(default=0, init=False)
    _loss: float = field(default=0.0, init=False)
    _right: list[Tensor] = field(default_factory=list, init=False)
    _attached: Attached = field(init=False)
    _start: Weights | None = field(default=None, init=False)
    _validated: list[float] = field(default_factory=list, init=False)
    _best: Weights = field(default_factory=dict, init=False)
    _average: Weights = field(default_factory=dict, init=False)
    _optimizer: torch.optim.AdamW = field(init=False)

    def __post_init__(self) -> None:
        """Attach the method, and make the optimizer, which continues with the model's moments where it has them."""
        network, has, wanted = self.model.network, self.model.card.tasks, self.optimisation.tasks.names
        if has != wanted:
            raise InvalidInput(f"the model has the tasks {has}; they must be {wanted}: give it those by with_tasks")
        with _forked(self.model.device):
            torch.manual_seed(self.seed)
            self._attached = self.optimisation.method.attach(network, len(self.data.batches))
        if self.optimisation.recompute:
            anatomy.recompute(network, True)
        if self.optimisation.from_start:
            self._start = self._weights()
        network.train()
        rate = self.optimisation.rate_for(self.model.card.kind)
        self._optimizer = torch.optim.AdamW(
            rate_groups(network, rate, self.optimisation.layer_decay), weight_decay=self.optimisation.weight_decay
        )
        put_moments(network, self._optimizer, self.model.moments or {})

    @property
    def finished(self) -> bool:
        """Return whether every batch has had its step, or the last of them will have none: see `EarlyStop`."""
        return self.steps == len(self.data.batches) or self.optimisation.early_stop.exhausted(self._validated)

    def check(self) -> None:
        """Raise InvalidInput unless all processes start from the same weights and optimizer; `ProcessLost`."""
        moments = moments_of(self.model.network, self._optimizer)
        if not self.processes.agree({**self._weights(), **{f"moments/{name}": one for name, one in moments.items()}}):
            raise InvalidInput("the processes of the fine-tune do not start from the same weights")

    def step(self) -> float:
        """Learn from the next batch; return its mean loss in nats, before the step."""
        network, rows = self.model.network, self.data.batches[self.steps]
        with _forked(self.model.device):
            torch.manual_seed(self.processes.seed(self.seed, self.steps))
            self._optimizer.zero_grad()
            loss, right = self._gradients(rows)
        self.processes.sum_gradients(trained(network).values())
        nn.utils.clip_grad_norm_(network.parameters(), self.optimisation.clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = group["full_rate"] * warm(self.steps, self.optimisation.warmup_steps)
        self._optimizer.step()
        self._attached.after_step(self.steps)
        self._right.append(right)
        self._loss, self.steps = self._loss + loss, self.steps + 1
        if self.optimisation.average_decay:
            last = trained(network)
            self._average = averaged(self._average, last, self.optimisation.average_decay, self.steps)
            self._attached.cut(self._average)
        if self.data.validation is not None and self.optimisation.early_stop.due(self.steps, len(self.data.batches)):
            self._evaluate(self.data.validation)
        return loss

    def _evaluate(self, validation: Validation) -> None:
        """Judge the average, or the weights where there is none, and keep it while no other is better."""
        with wearing(self.model, self._average):
            self._validated.append(validation.mean_loss(self.model, self.processes, self.optimisation.bfloat16))
            if best(self._validated) == len(self._validated) - 1:
                self._best = self._weights()

    def _gradients(self, rows: Indices) -> tuple[float, Tensor]:
        """Add the gradients of a batch's mean loss to the parameters'; return that loss, and whether right [n]."""
        loss, right = torch.zeros((), device=self.model.device), torch.zeros(len(rows), device=self.model.device)
        for part in np.array_split(self.processes.share(np.arange(len(rows))), self.optimisation.micro_batches):
            if not len(part):
                continue
            each, kept, correct = self._forward(rows[part])
            share = each.sum() / len(rows)
            torch.autograd.backward(share if kept is None else share + kept.sum() / len(rows))
            loss += share.detach()
            right[torch.from_numpy(part).to(self.model.device)] = correct.float()
        for penalty in self._penalties():
            torch.autograd.backward(penalty)
        return self.processes.sum(loss).item(), self.processes.sum(right) > 0

    def _penalties(self) -> Iterator[Tensor]:
        """Yield what is added to the loss of a step once, by the first process."""
        if self.processes.number > 0:
            return
        if (found := self._attached.penalty()) is not None:
            yield found
        if self._start is not None:
            yield self.optimisation.from_start * from_start(dict(trained(self.model.network)), self._start)

    def _forward(self, rows: Indices) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return of these rows the weighted loss [n], that of their stored logits, and whether the model is right."""
        device = self.model.device
        labels = torch.from_numpy(self.data.labels[rows]).to(device)
        weights = torch.from_numpy(self.data.weights[rows]).float().to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.optimisation.bfloat16):
            output = self.model.network(self.data.encoded.batch(rows).to(device))
        logits, each = output.logits, losses(output.logits, labels)
        if self.data.further is not None:
            further = torch.from_numpy(self.data.further[rows]).to(device)
            each = each + task_losses(output.further, further, torch.tensor(self.optimisation.tasks.weights).to(device))
        kept = None
        if self.optimisation.stored_logits and self.data.stored is not None:
            stored = torch.from_numpy(self.data.stored[rows]).float().to(device)
            kept = self.optimisation.stored_logits * distances(logits, stored) * weights
        right = (positive_probability(logits.detach()) >= 0.5) == labels.bool()
        return each * weights, kept, right

    def state(self) -> LoopState:
        """Return a copy of all that changes from step to step."""
        network = self.model.network
        return LoopState(
            self.steps,
            self._loss,
            self._answers(),
            self._weights(),
            _copied(moments_of(network, self._optimizer)),
            self._attached.state(),
            torch.tensor(self._validated, dtype=torch.float64),
            _copied(self._best),
            _copied(self._average),
        )

    def restore(self, state: LoopState) -> None:
        """Continue from a state of a loop with the same arguments; `InvalidInput` when it is of another network."""
        network, steps = self.model.network, len(self.data.batches)
        own = trained(network)
        if {name: weight.shape for name, weight in state.weights.items()} != {
            name: parameter.shape for name, parameter in own.items()
        }:
            raise InvalidInput("the training state holds weights of another network; start the fine-tune again")
        if not 0 <= state.steps <= steps:
            raise InvalidInput(f"the training state is at step {state.steps} of {steps}; start the fine-tune again")
        self._put(state.weights)
        self._optimizer.state.clear()
        put_moments(network, self._optimizer, state.moments)
        self._attached.restore(state.method)
        self._right = [state.right.to(self.model.device)]
        self.steps, self._loss = state.steps, state.loss
        self._validated = state.validated.tolist()
        self._best, self._average = (
            {name: weight.to(self.model.device) for name, weight in _copied(kept).items()}
            for kept in (state.best, state.average)
        )

    def result(self) -> Tuned:
        """End the loop: merge what the method added, and return the model, ready to predict, with its moments."""
        network = self.model.network
        self._optimizer.zero_grad()
        if self.finished:
            self._put(self._best or self._average)
        self._attached.merge()
        if self.optimisation.recompute:
            anatomy.recompute(network, False)
        network.eval()
        rows = np.concatenate([*self.data.batches[: self.steps], np.empty(0, np.int64)])
        return Tuned(
            replace(self.model, moments=moments_of(network, self._optimizer), directory=None),
            self.steps,
            self._loss / max(self.steps, 1),
            self.finished,
            self.data.encoded.pairs(rows),
            self._answers().numpy(),
            rows if self.data.origin is None else self.data.origin[rows],
            self._evaluations(),
        )

    def _evaluations(self) -> Evaluations | None:
        if not self._validated:
            return None
        return Evaluations(self.optimisation.early_stop, tuple(self._validated), self.steps, len(self.data.batches))

    def _weights(self) -> Weights:
        """Return copies of what is trained."""
        return _copied({name: parameter.detach() for name, parameter in trained(self.model.network).items()})

    @torch.no_grad()
    def _put(self, weights: Weights) -> None:
        own = trained(self.model.network)
        for name, weight in weights.items():
            own[name].copy_(weight)

    def _answers(self) -> Tensor:
        return torch.cat([*self._right, torch.empty(0, dtype=torch.bool, device=self.model.device)]).cpu()


@contextmanager
def _forked(device: torch.device) -> Iterator[None]:
    """Leave the generators of this process as they are, whatever is drawn inside."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _copied(tensors: Weights) -> Weights:
    return {name: tensor.clone() for name, tensor in tensors.items()}
