"""What each fine-tuning method costs and gains, on a shop's history in order of time.

The first part of the history trains a first version, the next one fine-tunes it (half of each batch fresh, half from
the first part), and the last one is predicted before and after. Every method runs in a process of its own, for its peak
memory; the default learning rate is that of the network, times the method's factor.

    python benchmarks/tuning.py --seeds 0 1 2
    python benchmarks/tuning.py --base minilm --steps 16 --batch 32
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._report import conditions, significant, spread, table
from benchmarks._timing import peak_megabytes
from datasets import NAMES as DATA_SETS
from datasets import complete_journey, open_dataset
from importance.sample import label
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, from_pretrained, train_first
from trainer.device import use_threads
from trainer.evaluation import evaluate
from trainer.forward import predict
from trainer.labelled import Labelled
from trainer.tuning import FineTuning, Optimisation, TrainingLoop, TrainingRows
from trainer.tuning.increment import prepared
from trainer.tuning.methods import METHODS, method
from trainer.tuning.moments import trained
from weir.settings import read


def main() -> None:
    """Run every method with every seed and print one table, or one method as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA_SETS, default=complete_journey.NAME, help="the shop")
    parser.add_argument("--base", choices=("builtin", "minilm"), default="builtin", help="the network")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run each (default: 0)")
    parser.add_argument("--samples", type=int, default=6_000, help="of each of the three parts (default: 6000)")
    parser.add_argument("--steps", type=int, default=64, help="of a fine-tune (default: 64)")
    parser.add_argument("--batch", type=int, default=64, help="samples of a step (default: 64)")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0], help="learning rates; 0: the default one")
    parser.add_argument("--method", choices=list(METHODS), help=argparse.SUPPRESS)
    parser.add_argument("--version", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    use_threads(1)
    if arguments.method:
        print(json.dumps(one_run(arguments)))
        return
    print(conditions("torch", "transformers", "peft") + " One thread.\n")
    rows = []
    with tempfile.TemporaryDirectory(prefix="weir-tuning-") as directory:
        first = [first_version(arguments, seed, Path(directory)) for seed in arguments.seeds]
        for rate in arguments.rates:
            for name in METHODS:
                rows.append(row(name, rate, [started(name, rate, seed, version) for seed, version in first]))
    columns = ("method", "learning rate", "trained weights", "steps a CPU-second", "AUC before", "gained", "peak MB")
    title = f"{arguments.base}, {arguments.data}: {arguments.steps} steps of {arguments.batch}, {len(first)} seeds"
    print(table(title, columns, rows))


def row(name: str, rate: float, runs: list[dict[str, float]]) -> list[str]:
    """Format one method: means over the seeds; with the range where it is more than one number."""
    return [
        name,
        f"{rate:g}" if rate else "default",
        f"{runs[0]['weights']:,.0f}",
        spread([run["steps_a_cpu_second"] for run in runs]),
        f"{mean(run['before'] for run in runs):.4f}",
        f"{mean(run['gained'] for run in runs):+.4f} ({min(run['gained'] for run in runs):+.4f} to "
        f"{max(run['gained'] for run in runs):+.4f})",
        significant(max(run["megabytes"] for run in runs)),
    ]


def started(name: str, rate: float, seed: int, version: Path) -> dict[str, float]:
    """Run one method in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--rates", str(rate), "--seeds", str(seed), "--method", name]
    done = subprocess.run([*command, "--version", str(version)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def parts(arguments: argparse.Namespace, seed: int) -> list[Labelled]:
    """Return three parts of the history, in order of time."""
    settings = read()
    history = list(open_dataset(arguments.data, seed, settings.data_dir, settings.home).history())
    history = sorted(history, key=lambda sample: sample.time_ms)[-3 * arguments.samples :]
    each = [history[part * arguments.samples :][: arguments.samples] for part in range(3)]
    return [Labelled(one, np.array([label(sample.actions) for sample in one], np.int64)) for one in each]


def first_version(arguments: argparse.Namespace, seed: int, directory: Path) -> tuple[int, Path]:
    """Train the first version on the first part; MiniLM for as many steps as a fine-tune has."""
    history, into = parts(arguments, seed)[0], directory / str(seed)
    if arguments.base == "builtin":
        return seed, train_first(history, into, seed=seed)
    base = from_pretrained("minilm", directory / f"base{seed}", seed)
    last = -arguments.steps * arguments.batch
    some = Labelled(history.samples[last:], history.labels[last:])
    training = FirstTraining(epochs=1, optimisation=Optimisation(arguments.batch))
    return seed, train_first(some, into, None, training, seed, base)


def one_run(arguments: argparse.Namespace) -> dict[str, float]:
    """Fine-tune by one method; return its cost and gain."""
    (seed,), (rate,) = arguments.seeds, arguments.rates
    old, new, later = parts(arguments, seed)
    model = versions.load(arguments.version, with_moments=True)
    before = evaluate(later.labels, predict(model, later.samples)).auc
    optimisation = Optimisation(arguments.batch, rate or None, method=method(arguments.method))
    rows = TrainingRows(
        [*old.samples, *new.samples],
        np.concatenate([old.labels, new.labels]),
        np.ones(len(old) + len(new)),
        np.arange(len(old) + len(new)) >= len(old),
    )
    tuning = FineTuning(arguments.steps, optimisation=optimisation)
    loop = TrainingLoop(model, prepared(model, rows, tuning, seed), optimisation, seed)
    weights = sum(parameter.numel() for parameter in trained(model.network).values())
    clock = time.process_time()
    while not loop.finished:
        loop.step()
    seconds = time.process_time() - clock
    tuned = loop.result().model
    return {
        "weights": weights,
        "steps_a_cpu_second": arguments.steps / seconds,
        "before": before,
        "gained": evaluate(later.labels, predict(tuned, later.samples)).auc - before,
        "megabytes": peak_megabytes(),
    }


if __name__ == "__main__":
    main()
