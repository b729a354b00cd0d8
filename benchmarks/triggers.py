"""When to train? Policies of triggers over a recorded stream: when each starts a run, what that costs, what it gains.

    nice python benchmarks/triggers.py --limit 20000 > benchmarks/results/triggers.md

The service's loop in memory (`benchmarks/_trigger_loop.py`), on the stream that ``weir up`` replays by default. AUC of
predictions made before anything learned from the sample; differences are paired by seed and subject. Then each policy
is simulated over its own recorded decisions, as ``weir train simulate`` does, and over those of `amount`. Exits with 1
where the simulation of a policy over its own decisions does not give the very runs that were live.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _report as report
from benchmarks._trigger_loop import POLL_SECONDS, RUN_SECONDS, Loop, Played, Stream, first_version
from datasets import NAMES as DATA_SETS
from datasets import complete_journey
from experiments.comparison import Bootstrap, RunMetric, auc_metric
from trainer.device import use_threads
from trainer.triggers import TriggerPolicy
from trainer.triggers.simulation import simulate
from weir.learning.decisions import decided
from weir.settings import read, training

DAY = 86_400
COOLDOWN_SECONDS = 14 * DAY
NO_TRAINING, AMOUNT = "no training", "amount"
OFF = {"AFTER_SAMPLES": 10**9, "AFTER_SECONDS": 3_650 * DAY, "ON_DRIFT": "off"}
POLICIES: Mapping[str, Mapping[str, object]] = {
    AMOUNT: {"AFTER_SAMPLES": 5_500},
    "time": {"AFTER_SECONDS": 27 * DAY},
    "mass": {"AFTER_MASS": 5_800},
    "drift": {"ON_DRIFT": "on"},
    "performance": {"ON_DROP": 0.005},
    "cost": {"COST_RATE": 1.1e8},
    "amount or drift": {"AFTER_SAMPLES": 11_000, "ON_DRIFT": "on"},
    "time or performance": {"AFTER_SECONDS": 54 * DAY, "ON_DROP": 0.005},
}
"""What differs from `OFF`, in settings named without ``WEIR_TRAIN_``."""


def variables(chosen: Mapping[str, object]) -> dict[str, str]:
    """Return the settings of a policy by variable."""
    named = {**OFF, "COOLDOWN_SECONDS": COOLDOWN_SECONDS, **chosen}
    return {f"WEIR_TRAIN_{name}": str(value) for name, value in named.items()}


@dataclass(frozen=True, slots=True)
class Fired:
    """A run: when and why it started, and what was new then."""

    time: float
    trigger: str
    fresh: int
    fresh_mass: float
    waited: float


def live(played: Played) -> list[Fired]:
    """Return the runs that were started, by the record."""
    fired = [(each.time, each.trigger, decided(each).state) for each in played.decisions if each.trigger is not None]
    return [Fired(time, trigger, x.fresh, x.fresh_mass, x.waited) for time, trigger, x in fired]


def simulated(record: Played, policy: TriggerPolicy) -> list[Fired]:
    """Return the runs that a policy starts over a record, as ``weir train simulate`` computes them."""
    firings = simulate(list(map(decided, record.decisions)), record.runs, lambda _failed: policy)
    return [Fired(x.time, x.trigger, x.fresh, x.fresh_mass, x.waited) for x in firings]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A policy simulated over its own record, and over another's: runs of all seeds.

    ``differences``: runs that are live or simulated over the own record, and not both, by time, trigger and inputs;
    ``elsewhere``: runs over the other record, of which ``same`` are at the time of a live one.
    """

    name: str
    policy: TriggerPolicy
    decisions: int
    live: int
    differences: int
    elsewhere: int
    same: int

    @classmethod
    def of(cls, name: str, policy: TriggerPolicy, own: Sequence[Played], other: Sequence[Played]) -> "Replayed":
        """Simulate."""
        fired, again = [live(each) for each in own], [simulated(each, policy) for each in own]
        elsewhere = [simulated(each, policy) for each in other]
        return cls(
            name,
            policy,
            sum(len(each.decisions) for each in own),
            sum(map(len, fired)),
            sum(len({*a} ^ {*b}) for a, b in zip(fired, again, strict=True)),
            sum(map(len, elsewhere)),
            sum(len({x.time for x in a} & {x.time for x in b}) for a, b in zip(fired, elsewhere, strict=True)),
        )


def main() -> None:
    """Play every policy for every seed, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA_SETS, default=complete_journey.NAME, help="the stream")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--limit", type=int, help="events at most")
    options = parser.parse_args()
    use_threads(1)
    stream = Stream.of(options.data, read(), options.limit)
    groups = np.unique([sample.subject for sample in stream.samples], return_inverse=True)[1]
    policies = {name: training.trigger(read(variables(chosen))) for name, chosen in POLICIES.items()}
    played: dict[str, list[Played]] = {}
    for seed in options.seeds:
        settings = read({"WEIR_SEED": str(seed)})
        with tempfile.TemporaryDirectory(prefix="weir-triggers-") as directory:
            first = first_version(options.data, settings, Path(directory) / "first")
            for name, policy in {NO_TRAINING: None, **policies}.items():
                loop = Loop(stream, first, settings, policy, Path(directory) / name.replace(" ", "-"))
                played.setdefault(name, []).append(loop.play())
                print(f"seed {seed}: {name}, {len(played[name][-1].runs)} runs", file=sys.stderr, flush=True)
    tuning = training.tuning(read())
    days = (stream.samples[-1].time_ms / 1_000 - stream.start) / DAY
    print("# Policies of triggers over a recorded stream\n")
    print(f"`python benchmarks/triggers.py {' '.join(sys.argv[1:])}`\n")
    print(report.conditions("numpy", "torch") + "\n")
    print(
        f"{options.data}, {len(stream.samples):,} samples of {groups.max() + 1:,} subjects over {days:.0f} days; "
        f"{len(options.seeds)} seed(s). The trainer polls every {POLL_SECONDS / 3_600:.0f} hours of event time, a run "
        f"is taken to last {RUN_SECONDS:.0f} s of it, and the cool-down is {COOLDOWN_SECONDS / DAY:.0f} days for all. "
        f"The first version counts as a run at the start. A run has {tuning.steps} steps of "
        f"{tuning.optimisation.batch_size} samples. The budgets of the policies were set from the rate of samples, and "
        "are only roughly equal.\n"
    )
    print(_gains(played, stream, groups))
    replays = [Replayed.of(name, policy, played[name], played[AMOUNT]) for name, policy in policies.items()]
    print(_simulations(replays))
    print(_settings())
    print(_times(played))
    sys.exit(1 if any(replay.differences for replay in replays) else 0)


def _gains(played: Mapping[str, Sequence[Played]], stream: Stream, groups: np.ndarray) -> str:
    metrics = {
        name: [auc_metric(stream.labels, each.prediction, groups) for each in runs] for name, runs in played.items()
    }
    bootstrap = Bootstrap(int(groups.max()) + 1, np.random.default_rng(0))

    def cell(ours: list[RunMetric], other: str) -> str:
        if ours is metrics[other]:
            return "–"
        found = bootstrap.difference(ours, metrics[other]).interval
        return f"{100 * found.estimate:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"

    rows = [
        (
            name,
            _each(len(each.runs) for each in runs),
            _each(each.promoted for each in runs),
            _span(runs[0]),
            f"{np.mean([each.cpu_seconds for each in runs]):.0f}",
            f"{np.mean([metric.value for metric in metrics[name]]):.4f}",
            cell(metrics[name], NO_TRAINING),
            cell(metrics[name], AMOUNT),
        )
        for name, runs in played.items()
    ]
    columns = (
        "policy", "runs", "promoted", "first … last, median gap", "CPU s of training", "AUC",
        "− no training, points", "− amount, points",
    )  # fmt: skip
    return report.table("What each policy costs and gains; by seed where there are several", columns, rows)


def _simulations(replays: Sequence[Replayed]) -> str:
    rows = []
    for each in replays:
        unknown = each.policy.on_drift or each.policy.drop is not None
        other = ("–", "–") if unknown else (each.elsewhere, each.same)
        rows.append((each.name, f"{each.decisions:,}", each.live, each.differences, *other))
    columns = (
        "policy", "decisions recorded", "runs live", "simulated otherwise", "runs over the record of amount",
        "of them at live times",
    )  # fmt: skip
    title = "Simulated over its own record, and over that of amount, which has neither alarms nor recent AUC"
    return report.table(title, columns, rows)


def _settings() -> str:
    lines = (f"{name}: " + ", ".join(f"`WEIR_TRAIN_{k}={v}`" for k, v in x.items()) for name, x in POLICIES.items())
    return "**The policies**\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def _times(played: Mapping[str, Sequence[Played]]) -> str:
    lines = [
        f"- {name}: "
        + "; ".join(f"{_day(each.time)}" + f" {each.trigger}" * (" or " in name) for each in live(runs[0]))
        for name, runs in played.items()
        if runs[0].runs
    ]
    return "<details><summary>All firing times of the first seed</summary>\n\n" + "\n".join(lines) + "\n\n</details>\n"


def _span(played: Played) -> str:
    times = [run.started for run in played.runs]
    if not times:
        return "–"
    gaps = np.diff(times) / DAY
    return f"{_day(times[0])} … {_day(times[-1])}" + (f", {median(gaps):.0f} d" if len(gaps) else "")


def _each(counts: Iterable[int]) -> str:
    return " ".join(map(str, counts))


def _day(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%-d %b}"


if __name__ == "__main__":
    main()
