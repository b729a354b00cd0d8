"""Does learning help? The whole service over a shop's stream, compared with what does not learn from the stream.

For each seed ``weir up --once --json`` runs in a separate directory: the serving model, the baseline (the first model)
and the shop's order counts (14-day half-life) are judged on the same samples, before anything trains on them. Then a
*stale control* goes over the same samples: the first model, fine-tuned as often and by as many steps as the service's
was, but on the history only. If it gains nothing, what the service gains is not the extra training.

    python benchmarks/learning.py --seeds 0 1 2
    python benchmarks/learning.py --data online_retail --limit 122257   # January to August 2011
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # else `stream` would be the file next to this one

from datasets import NAMES as DATA_SETS
from datasets import Dataset, complete_journey, open_dataset
from importance import quality, strata
from importance.attribution import replay_partition
from importance.sample import Sample, label
from trainer import version_directory as versions
from trainer.device import use_threads
from trainer.forward import predict
from trainer.tuning import TrainingRows, fine_tune
from trainer.version_directory import Model
from weir.settings import Settings, read, training, values

NAMES = ("serving", "frozen", "stale", "reference")


def main() -> None:
    """Run every seed and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA_SETS, default=complete_journey.NAME, help="the stream to replay")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run each (default: 0)")
    parser.add_argument("--limit", type=int, help="replay at most so many events; a shorter stream gains less")
    arguments = parser.parse_args()
    use_threads(1)
    print(f"\n{arguments.data}; {datetime.now(UTC):%Y-%m-%d}, {conditions()}.")
    print("Means over weeks of prequential AUC; gain: serving minus frozen.\n")
    columns = ("seed", "promoted / rejected", *NAMES, "gain", "gain, second half", "CPU seconds")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|", flush=True)
    for seed in arguments.seeds:
        print(row(arguments.data, seed, arguments.limit), flush=True)


def row(data: str, seed: int, limit: int | None) -> str:
    """One seed, as a line of the table."""
    with tempfile.TemporaryDirectory(prefix="weir-learning-") as home:
        ran = service(data, seed, limit, Path(home))
        runs = sum(ran["training_runs"].values())
        stale = weekly(stale_predictions(data, seed, limit, first_version(Path(home) / "artifacts"), runs))
    auc, later = ran["auc"], ran["auc"]["second_half"]
    means = {**{name: auc[name] for name in ("serving", "frozen", "reference")}, "stale": float(np.mean(stale))}
    verdicts = f"{ran['training_runs'].get('promoted', 0)} / {ran['training_runs'].get('rejected', 0)}"
    gains = [gain(means), gain(later)]
    cells = [
        seed,
        verdicts,
        *(f"{means[name]:.4f}" for name in NAMES),
        *gains,
        f"{sum(ran['cpu_seconds'].values()):.0f}",
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def gain(means: Mapping[str, float | None]) -> str:
    """Return serving minus baseline; a dash where a stream is too short for it."""
    serving, frozen = means["serving"], means["frozen"]
    return "–" if serving is None or frozen is None else f"{serving - frozen:+.4f}"


def service(data: str, seed: int, limit: int | None, home: Path) -> dict[str, Any]:
    """Run ``weir up --once --json`` and return its summary."""
    command = [
        sys.executable,
        "-m",
        "weir",
        "up",
        "--replay",
        data,
        "--once",
        "--json",
        *(["--limit", str(limit)] if limit else []),
    ]
    environment = {**os.environ, "WEIR_HOME": str(home), "WEIR_SEED": str(seed), "WEIR_API_PORT": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"weir up ended with status {done.returncode}: {done.stderr.splitlines()[-1]}")
    summary: dict[str, dict[str, dict[str, float]]] = json.loads(done.stdout)
    return summary


def first_version(artifacts: Path) -> Path:
    """Return the directory of version 1."""
    return next(artifacts.glob("v1-*"))


def stale_predictions(
    name: str, seed: int, limit: int | None, first: Path, runs: int
) -> Iterator[tuple[Sample, float]]:
    """Each sample of the stream with the stale control's prediction; it trains ``runs`` times, evenly spread."""
    settings = read().model_copy(update={"seed": seed})
    data = open_dataset(name, seed, settings.data_dir, settings.home)
    records = [(offset, record.time_ms, record.value) for offset, record in enumerate(data.events(limit))]
    samples = replay_partition(records, values.join(settings), until_ms=2**62).samples
    history, model = old_rows(data, settings), versions.load(first, with_moments=True)
    for number, part in enumerate(np.array_split(np.arange(len(samples)), runs + 1)):
        if number:
            model = trained(model, history, settings, number)
        chosen = [samples[index] for index in part]
        yield from zip(chosen, predict(model, chosen).tolist(), strict=True)


def old_rows(data: Dataset, settings: Settings) -> TrainingRows:
    """The history, without the subjects of the holdout, every sample of weight 1."""
    history = list(data.history())
    ids, subjects = [sample.id for sample in history], [sample.subject for sample in history]
    assigned = strata.assign(ids, subjects, [0] * len(history), values.strata(settings))
    kept = [sample for sample, index in zip(history, assigned, strict=True) if index != strata.HOLDOUT]
    labels = np.array([label(sample.actions, values.positive_from(settings)) for sample in kept], np.int64)
    return TrainingRows(kept, labels, np.ones(len(kept)), np.zeros(len(kept), bool))


def trained(model: Model, rows: TrainingRows, settings: Settings, number: int) -> Model:
    """As the service trains, on other rows."""
    return fine_tune(model, rows, training.tuning(settings), settings.seed + number).model


def weekly(predicted: Iterator[tuple[Sample, float]]) -> list[float]:
    """The AUC of each week, from counts as the service's own is."""
    weeks: defaultdict[str, quality.Counts] = defaultdict(quality.empty_counts)
    for sample, prediction in predicted:
        weeks[quality.week_of(sample.time_ms)][label(sample.actions), quality.bin_of(np.array([prediction]))[0]] += 1
    return [quality.auc(counts) for counts in weeks.values()]


def conditions() -> str:
    """The machine and its Python."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
