"""Judge a candidate on the holdout: the gate's decision with all its checks, and the candidate's own metrics."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from importance.arrays import Integers
from trainer.evaluation import Evaluation, evaluate
from trainer.forward import predict
from trainer.gate import Decision, GatePolicy, decide
from trainer.gate_costs import costs
from trainer.gate_notes import notes
from trainer.gate_slices import slices_of
from trainer.labelled import Labelled
from trainer.version_directory import Model

_TIMED_SAMPLES = 256


@dataclass(frozen=True, slots=True)
class Judgement:
    """The gate's decision, and the candidate's metrics; None where a label is missing from the holdout."""

    decision: Decision
    evaluation: Evaluation | None


def judge(holdout: Labelled, candidate: Model, serving: Model, policy: GatePolicy, seed: int) -> Judgement:
    """Compare a candidate with the serving version on samples that neither was trained on."""
    samples, labels = holdout.samples, holdout.labels
    predicted, served = predict(candidate, samples), predict(serving, samples)
    subjects = numbered(sample.subject for sample in samples)
    slices = slices_of(samples, serving.known_items, policy.attribute)
    decision = decide(labels, predicted, served, subjects, policy, slices)
    if len(set(labels.tolist())) < 2:
        return Judgement(decision, None)
    lists = numbered((sample.subject, sample.query) for sample in samples)
    random = np.random.default_rng(seed)
    checks = notes(labels, predicted, served, subjects, lists, random, policy.alpha)
    timed = samples[:_TIMED_SAMPLES]
    checks += costs(candidate, serving, lambda model: predict(model, timed), policy)
    return Judgement(decision.with_checks(checks), evaluate(labels, predicted))


def numbered(values: Iterable[Hashable]) -> Integers:
    """Return a number of each value [n], the same of equal ones, in order of appearance.

    >>> numbered("abca").tolist()
    [0, 1, 2, 0]
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)
