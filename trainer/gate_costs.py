"""What a candidate costs to serve next to the serving model: its size and its latency."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

from trainer.gate import GatePolicy
from trainer.gate_check import Check
from trainer.version_directory import Model

ROUNDS = 7
"""Passes of each model, in turn: what slows the machine down slows both."""


def parameter_bytes(model: Model) -> int:
    """Return the bytes of a network's weights in memory."""
    return sum(weight.numel() * weight.element_size() for weight in model.network.parameters())


def costs(
    candidate: Model,
    serving: Model,
    predict: Callable[[Model], object],
    policy: GatePolicy,
    clock: Callable[[], float] = perf_counter,
) -> tuple[Check, ...]:
    """Compare size and latency, each where the policy bounds it; ``predict`` makes the pass that is timed."""
    checks = []
    if policy.max_size_ratio > 0:
        sizes = parameter_bytes(candidate), parameter_bytes(serving)
        checks.append(_check("size in bytes", *sizes, policy.max_size_ratio))
    if policy.max_latency_ratio > 0:
        seconds = _seconds(candidate, serving, predict, clock)
        checks.append(_check("latency in seconds", *seconds, policy.max_latency_ratio))
    return tuple(checks)


def _seconds(
    candidate: Model, serving: Model, predict: Callable[[Model], object], clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the median seconds of a pass of each; both were warmed up by the predictions that were judged."""

    def timed(model: Model) -> float:
        started = clock()
        predict(model)
        return clock() - started

    pairs = [(timed(candidate), timed(serving)) for _ in range(ROUNDS)]
    first, second = zip(*pairs, strict=True)
    return median(first), median(second)


def _check(name: str, candidate: float, serving: float, bound: float) -> Check:
    ratio = candidate / serving
    statistics = {"candidate": candidate, "serving": serving, "ratio": ratio, "bound": bound}
    reason = f"{candidate:.4g} against {serving:.4g}, ratio {ratio:.2f}; at most {bound:g} may be"
    return Check(name, ratio <= bound, True, statistics, reason)
