"""A model of several labels: one encoder, and a logit for each, of which the first is the one that is scored.

The further ones are learned with it and evaluated here; importance, gate and rankings do not read them.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from importance.arrays import Floats
from importance.sample import Sample
from importance.task_labels import MISSING, task_labels
from trainer.evaluation import evaluate
from trainer.forward import MICRO_BATCH
from trainer.model import InteractionModel, Network
from trainer.version_directory import Model, Weights

Chosen = Callable[[Tensor], Tensor]
"""Returns the rows of the last layer's weight or bias that a model of other tasks has."""


@dataclass(frozen=True, slots=True)
class TaskEvaluation:
    """How many ``samples`` have the label of a task, the positives of them, and the AUC; None without both classes."""

    samples: int
    positives: int
    auc: float | None


def with_tasks(model: Model, names: Sequence[str]) -> Model:
    """Return the model with these logits, the scored one first; itself where it has them, else a copy.

    A task that it lacks starts as a copy of the scored one, Adam's moments and auxiliary weights included; one that is
    not named goes. P(label = 1) stays what it was, up to rounding. Two logits of a softmax become one, their
    difference, whose moments start at zero. The estimators' state that depends on the last layer is left to the next
    evaluation.
    """
    if tuple(names) == model.card.tasks:
        return model
    old = model.card.tasks
    rows = [0, *(old.index(name) if name in old[1:] else 0 for name in names[1:])]
    two = model.network.final.out_features == 2 and not old

    def chosen(layer: Tensor) -> Tensor:
        return (layer[1:] - layer[:1] if two else layer)[rows]

    last = set(map(id, model.network.final.parameters()))
    final = {name for name, one in model.network.named_parameters() if id(one) in last}
    network = deepcopy(model.network)
    _put_last_layer(network, chosen, names)
    return replace(
        model,
        network=network,
        card=msgspec.structs.replace(model.card, tasks=tuple(names)),
        moments=model.moments and _chosen_moments(model.moments, final, None if two else chosen),
        average=model.average and _chosen_weights(model.average, final, chosen),
        earlier=model.earlier and _chosen_weights(model.earlier, final, chosen),
        state=replace(model.state, holdout=None, validation=None, direction=None),
    )


def _chosen_weights(weights: Weights, final: AbstractSet[str], chosen: Chosen) -> Weights:
    """Return the weights with the chosen rows of those that are named ``final``."""
    return {name: chosen(one) if name in final else one for name, one in weights.items()}


def _chosen_moments(moments: Weights, final: AbstractSet[str], chosen: Chosen | None) -> Weights:
    """Return Adam's moments with the chosen rows of those of the parameters ``final``, or without these."""
    found: Weights = {}
    for name, one in moments.items():
        parameter, _, part = name.rpartition(".")
        if parameter not in final:
            found[name] = one
        elif chosen is not None:
            found[name] = one if part == "step" else chosen(one)
    return found


def _put_last_layer(network: Network, chosen: Chosen, names: Sequence[str]) -> None:
    final = network.final
    final.weight = nn.Parameter(chosen(final.weight.detach()))
    if final.bias is not None:
        final.bias = nn.Parameter(chosen(final.bias.detach()))
    final.out_features = len(final.weight)
    network.tasks = max(1, len(names))
    if isinstance(network, InteractionModel):
        return
    inner = network.network
    inner.num_labels = inner.config.num_labels = network.tasks
    inner.config.problem_type = None
    for name, value in named_logits(names).items():
        setattr(inner.config, name, value)


def named_logits(tasks: Sequence[str]) -> dict[str, Any]:
    """Return what a configuration of transformers says of the logits of several labels; empty for a single one.

    >>> named_logits(("click", "purchase"))["id2label"]
    {0: 'click', 1: 'purchase'}
    """
    if not tasks:
        return {}
    return {
        "id2label": dict(enumerate(tasks)),
        "label2id": {name: number for number, name in enumerate(tasks)},
        "problem_type": "multi_label_classification",
    }


@torch.inference_mode()
def predict_further(model: Model, samples: Sequence[Sample]) -> Floats:
    """Return P(label = 1) [n, k − 1] of the further tasks."""
    encoded = model.tokens.encode(samples)
    found = np.empty((len(samples), len(model.card.tasks[1:])))
    for rows in encoded.by_length(MICRO_BATCH):
        further = model.network(encoded.batch(rows).to(model.device)).further
        found[rows] = torch.sigmoid(further.float()).double().cpu().numpy()
    return found


def evaluate_tasks(model: Model, samples: Sequence[Sample]) -> Mapping[str, TaskEvaluation]:
    """Return by name how good the model is at each further task, over the samples whose label is known."""
    tasks = model.card.tasks[1:]
    if not tasks or not len(samples):
        return {}
    predictions, labels = predict_further(model, samples), task_labels(samples, tasks)
    return {task: _evaluated(labels[:, at], predictions[:, at]) for at, task in enumerate(tasks)}


def _evaluated(labels: np.ndarray[tuple[int], np.dtype[np.int8]], prediction: Floats) -> TaskEvaluation:
    known = labels != MISSING
    count, positives = int(known.sum()), int((labels == 1).sum())
    auc = evaluate(labels[known].astype(np.int64), prediction[known]).auc if 0 < positives < count else None
    return TaskEvaluation(count, positives, auc)
