"""One training cycle: fine-tune a copy of the active model, judge it on the holdout, measure what a key needs.

A function of its arguments: rows in, a candidate and a decision out. Reads and writes nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path

import torch

from trainer import version_directory as versions
from trainer.evaluation import Evaluation
from trainer.gate import Decision, GatePolicy
from trainer.judging import judge
from trainer.labelled import Labelled
from trainer.memory import update_state, weights_of
from trainer.tasks import TaskEvaluation, evaluate_tasks, with_tasks
from trainer.tuning import Checkpoints, FineTuning, Stop, TrainingRows, Tuned, fine_tune
from trainer.tuning.retention import interpolated


@dataclass(frozen=True, eq=False, slots=True)
class Held:
    """What a candidate is judged on, and what its estimators' state and scale are made of.

    ``holdout`` never trains. ``uniform`` are samples of the stream kept without regard to importance, which selection
    does not rank: all that a key needs of a version is made of them. An early stop is decided by ``validation``, which
    does not train either, of other subjects than the holdout: the gate does not judge by what chose the candidate.
    """

    holdout: Labelled
    uniform: Labelled
    validation: Labelled | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Start:
    """Directories of the active version, and of the one to continue from.

    The two are the same unless the last candidate was not good enough yet: what it learned is kept. ``checkpoints``
    keep the state of the fine-tune in between, and may hold one to resume.
    """

    serving: Path
    base: Path
    checkpoints: Checkpoints | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A tuned model with what its estimators need, the gate's decision, and its metrics on the holdout.

    ``by_task`` are those of its further tasks, which the gate does not read.
    """

    tuned: Tuned
    decision: Decision
    evaluation: Evaluation | None
    by_task: Mapping[str, TaskEvaluation] = field(default_factory=dict)


def learn(
    start: Start,
    rows: TrainingRows,
    held: Held,
    tuning: FineTuning,
    gate: GatePolicy,
    seed: int,
    stop: Stop | None = None,
    device: torch.device | None = None,
) -> Candidate:
    """Fine-tune the base and judge the result against the serving version, unless ``stop`` ended it before its end."""
    serving = versions.load(start.serving, device)
    tasks = tuning.optimisation.tasks.names
    base = with_tasks(versions.load(start.base, device, with_moments=True, with_auxiliary=True), tasks)
    before = weights_of(base)
    tuned = fine_tune(base, rows, tuning, seed, stop=stop, checkpoints=start.checkpoints, validation=held.validation)
    if not tuned.finished:
        return Candidate(tuned, Decision(False, "the fine-tune was stopped", nan, nan, ()), None)
    anchor = weights_of(with_tasks(serving, tasks))
    tuned = replace(tuned, model=interpolated(tuned.model, anchor, tuning.interpolation))
    tuned = replace(tuned, model=update_state(tuned, before, held.uniform))
    judged = judge(held.holdout, tuned.model, serving, gate, seed)
    by_task = evaluate_tasks(tuned.model, held.holdout.samples)
    return Candidate(tuned, judged.decision, judged.evaluation, by_task)
