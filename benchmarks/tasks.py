"""What further tasks change for the click: fine-tunes with and without them, on a simulated shop.

How well a query's word and an item fit decides about a click, and with a tighter bound about the cart and the purchase
that may follow; a fifth of the carts are not recorded. The first part of the samples trains a first version, the second
fine-tunes it, and the last is predicted.

    python benchmarks/tasks.py --seeds 0 1 2 3 4
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._report import conditions, table
from importance.sample import Action, Outcome, Sample, label
from importance.tasks import parse
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, train_first
from trainer.device import use_threads
from trainer.evaluation import evaluate
from trainer.forward import predict
from trainer.labelled import Labelled
from trainer.tasks import evaluate_tasks, with_tasks
from trainer.tuning import FineTuning, Optimisation, TrainingRows, fine_tune

TASKS = ("", "purchase=0.5", "purchase", "add_to_cart=0.5, purchase=0.5", "add_to_cart, purchase")
WORDS = 24


def main() -> None:
    """Fine-tune by every list of tasks with every seed, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run each (default: 0)")
    parser.add_argument("--samples", type=int, default=3_000, help="of each of the three parts (default: 3000)")
    parser.add_argument("--steps", type=int, default=64, help="of a fine-tune (default: 64)")
    arguments = parser.parse_args()
    use_threads(1)
    print(conditions("torch", "transformers") + " One thread.\n")
    found = [dict(runs(seed, arguments.samples, arguments.steps)) for seed in arguments.seeds]
    rows = []
    for text in TASKS:
        aucs, alone = np.array([run[text] for run in found]), np.array([run[""] for run in found])
        gained = aucs[:, 0] - alone[:, 0]
        further = " ".join(f"{auc:.3f}" for auc in aucs.mean(axis=0)[1:] if not np.isnan(auc))
        spread = f"{gained.mean():+.4f} ({gained.min():+.4f} to {gained.max():+.4f})"
        rows.append([text or "none", f"{aucs[:, 0].mean():.4f}", spread, further])
    title = f"{len(found)} seeds, {arguments.samples:,} samples a part, {arguments.steps} steps"
    print(table(title, ("further tasks", "AUC of click", "gained", "AUC of cart and purchase"), rows))


def runs(seed: int, count: int, steps: int) -> Iterator[tuple[str, list[float]]]:
    """Yield for each list of tasks the AUC of click, cart and purchase; NaN of what was not learned."""
    samples = list(shop(3 * count, Random(seed)))
    old, new, later = (samples[at * count :][:count] for at in range(3))
    rows = TrainingRows([*old, *new], labels([*old, *new]), np.ones(2 * count), np.arange(2 * count) >= count)
    with tempfile.TemporaryDirectory(prefix="weir-tasks-") as directory:
        history = Labelled(old, labels(old))
        first = train_first(history, Path(directory) / "first", training=FirstTraining(epochs=1), seed=seed)
        for text in TASKS:
            tasks = parse(text, Outcome.CLICK)
            model = with_tasks(versions.load(first, with_moments=True), tasks.names)
            tuned = fine_tune(model, rows, FineTuning(steps, optimisation=Optimisation(tasks=tasks)), seed).model
            further = evaluate_tasks(tuned, later)
            aucs = [further[task].auc if task in further else None for task in ("add_to_cart", "purchase")]
            click = evaluate(labels(later), predict(tuned, later)).auc
            yield text, [click, *(float("nan") if auc is None else auc for auc in aucs)]


def shop(count: int, random: Random) -> Iterator[Sample]:
    """Yield samples: a click where word and item fit, then perhaps the cart, then perhaps the purchase."""
    taste = [[random.gauss(0, 1.5) for _ in range(WORDS)] for _ in range(WORDS)]
    for number in range(count):
        word, item = random.randrange(WORDS), random.randrange(WORDS)
        actions = Action.NONE
        for action, bound in ((Action.CLICK, 1.5), (Action.ADD_TO_CART, 1.0), (Action.PURCHASE, 1.0)):
            if taste[word][item] + random.gauss(0, 1) < bound:
                break
            actions |= action
        if actions & Action.ADD_TO_CART and random.random() < 0.2:
            actions &= ~Action.ADD_TO_CART
        yield Sample(
            str(number), f"s{number}", "search", f"wish{word}", f"i{item}", f"thing{item}", 0, 0, number,
            actions=int(actions),
        )  # fmt: skip


def labels(samples: list[Sample]) -> np.ndarray:
    """Return the labels [n] of clicks or stronger."""
    return np.array([label(sample.actions) for sample in samples], np.int64)


if __name__ == "__main__":
    main()
