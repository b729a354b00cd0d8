"""One turn of learning: fine-tune a copy of the serving model, judge it on the holdout, measure what a key needs.

A function of its arguments: rows in, a candidate and a decision out. Knows nothing of where either is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray

from importance import estimators
from importance.sample import Sample
from trainer import folder as versions
from trainer.evaluation import Evaluation, evaluate
from trainer.finetune import FineTuning, TrainingRows, Tuned, fine_tune
from trainer.folder import Model
from trainer.forward import PROVIDED, run
from trainer.gate import Decision, GatePolicy, decide


@dataclass(frozen=True, eq=False, slots=True)
class Holdout:
    """Samples that never train, with their labels [n]."""

    samples: Sequence[Sample]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Held:
    """What a candidate is judged on, and what its mean importance is measured on.

    ``uniform`` are samples of the stream kept without regard to importance: the mean over them normalises the floor of
    selection, and is stored with the version.
    """

    holdout: Holdout
    uniform: Holdout


@dataclass(frozen=True, slots=True)
class Start:
    """Folders of the version that serves, and of the one to go on from.

    The two are the same unless the last candidate was not good enough yet: what it learned is not thrown away.
    """

    serving: Path
    base: Path


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A tuned model, the gate's word on it, its figures on the holdout, and the mean importance by estimator."""

    tuned: Tuned
    decision: Decision
    evaluation: Evaluation | None
    mean_importance: dict[str, float]


def learn(
    start: Start,
    rows: TrainingRows,
    held: Held,
    tuning: FineTuning,
    gate: GatePolicy,
    seed: int,
    stop: Event | None = None,
    device: torch.device | None = None,
) -> Candidate:
    """Fine-tune the base and judge the result against the serving version."""
    holdout = held.holdout
    serving = versions.load(start.serving, device)
    tuned = fine_tune(versions.load(start.base, device, with_moments=True), rows, tuning, seed, stop=stop)
    shown, candidate = predict(serving, holdout.samples), predict(tuned.model, holdout.samples)
    numbers = {subject: number for number, subject in enumerate({sample.subject for sample in holdout.samples})}
    subjects = np.array([numbers[sample.subject] for sample in holdout.samples], dtype=np.int64)
    decision = decide(holdout.labels, candidate, shown, subjects, gate)
    both = len(set(holdout.labels.tolist())) == 2
    return Candidate(
        tuned=tuned,
        decision=decision,
        evaluation=evaluate(holdout.labels, candidate) if both else None,
        mean_importance=mean_importance(tuned.model, held.uniform),
    )


def predict(model: Model, samples: Sequence[Sample]) -> NDArray[np.float64]:
    """P(label = 1) [n], in order."""
    return run(model, model.tokens.encode(samples)).prediction if len(samples) else np.empty(0)


def mean_importance(model: Model, measured_on: Holdout) -> dict[str, float]:
    """The mean score by every estimator over samples of the stream; empty where there are none."""
    if not len(measured_on.samples):
        return {}
    chosen = [found for found in map(estimators.get, estimators.names()) if found.needs <= PROVIDED]
    seen = run(model, model.tokens.encode(measured_on.samples), measured_on.labels, chosen)
    means = {name: float(np.mean(scores[np.isfinite(scores)])) for name, scores in seen.importance.items()}
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}
