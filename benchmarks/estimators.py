"""How fast samples are scored: estimators against a forward pass only, exact gradient norms against other ways to them.

    python benchmarks/estimators.py > benchmarks/results/estimators.md

One thread; CPU seconds; all ways take turns in one process, and a ratio is the median over turns of ratios within a
turn. Weights and tokens are random, every sample has all its tokens. Memory is that of child processes.
"""

import argparse
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _subjects as subjects
from benchmarks._report import conditions, significant, table
from benchmarks._subjects import Subject
from benchmarks._timing import Seconds, interleaved, peak_megabytes, quartiles, speed
from benchmarks._ways import WAYS, products
from importance.estimators import get
from trainer.forward import run

FIVE = ("entropy", "margin", "el2n", "loss", "last_layer_norm")
ACTIVATIONS, GHOST, VMAP = "backward to activations", "opacus, ghost clipping", "vmap(grad)"
AIMS = {
    "MiniLM-size": {ACTIVATIONS: 0.95, GHOST: 1.4, VMAP: 4.5},
    "built-in": {GHOST: 1.4, VMAP: 3.0},
}
SHARE_OF_BOUND, MIN_OF_FORWARD, MAX_FOR_FIVE, MAX_MEMORY = 0.9, 0.95, 1.05, 1.15


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    asked = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    for message in ("There is a performance drop", "Full backward hook is firing"):  # of vmap and of opacus
        warnings.filterwarnings("ignore", message)
    if asked.peak:
        way, network, batch, tokens = asked.peak
        print(_peak(way, network, int(batch), int(tokens)))
        return
    print("# How fast samples are scored\n")
    print(conditions("torch", "transformers", "opacus").partition("; kafka")[0] + "; one thread.\n")
    print(_forward_only(asked))
    for name in asked.networks:
        for text in _norms(name, asked):
            print(text)
    print(_memory(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="turns for gradient norms (15)")
    parser.add_argument("--forward-pairs", type=int, default=41, help="turns for forward-only estimators (41)")
    parser.add_argument("--batch", type=int, default=64, help="samples a batch (64)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens a sample (32)")
    parser.add_argument("--long-batch", type=int, default=8, help="samples a batch of 512 tokens (8)")
    parser.add_argument("--networks", nargs="+", choices=subjects.NETWORKS, default=subjects.NETWORKS)
    parser.add_argument("--peak", nargs=4, metavar=("WAY", "NETWORK", "BATCH", "TOKENS"), help="memory of one way only")
    return parser


def _forward_only(asked: argparse.Namespace) -> str:
    rows = []
    for name in asked.networks:
        ways = _scoring(name, asked.batch, asked.tokens)
        seconds = interleaved(ways, asked.forward_pairs)
        for way in ways:
            aims = {"five estimators": f"≥ {MIN_OF_FORWARD}", "one estimator": f"≥ {MIN_OF_FORWARD}"}
            ratio = quartiles(speed(seconds, way, "plain forward"))
            rows.append((f"{name}: {way}", _rate(seconds, way, asked.batch), ratio, aims.get(way, "")))
        five = quartiles([1 / ratio for ratio in speed(seconds, "five estimators", "one estimator")])
        rows.append((f"{name}: time of five in that of one", "", five, f"≤ {MAX_FOR_FIVE}"))
    title = f"Forward-only estimators: {', '.join(FIVE)} against {FIVE[-1]} (T {asked.tokens}, batch {asked.batch}, "
    columns = ("what", "samples per CPU-second", "× plain forward", "aim")
    return table(f"{title}{asked.forward_pairs} turns)", columns, rows)


def _scoring(name: str, batch: int, tokens: int) -> dict[str, Callable[[], object]]:
    rows, model = subjects.rows(name, batch, tokens), subjects.model(name)
    encoded, labels = rows.encoded, rows.labels.numpy()

    def forward_only() -> None:
        with torch.inference_mode():
            for chosen in encoded.by_length(batch):
                model.network(encoded.batch(chosen))

    one, five = [get(FIVE[-1])], [get(key) for key in FIVE]
    return {
        "plain forward": forward_only,
        "one estimator": lambda: run(model, encoded, labels, one, batch),
        "five estimators": lambda: run(model, encoded, labels, five, batch),
    }


def _norms(name: str, asked: argparse.Namespace) -> Iterator[str]:
    subject, rows = Subject(subjects.network(name)), subjects.rows(name, asked.batch, asked.tokens)
    ways = {way: make(subject, rows) for way, make in (WAYS | {"Gram products": products}).items()}
    expected = ways["loop"]()
    assert expected is not None
    off = {way: _difference(run(), expected) for way, run in ways.items()}
    seconds = interleaved(ways, asked.pairs, warm_up=1)
    aims = AIMS[name]
    lines = [
        (
            way,
            _rate(seconds, way, asked.batch),
            off[way],
            quartiles(speed(seconds, "ours", way)),
            _at_least(aims.get(way)),
        )
        for way in ways
    ]
    size = f"T {asked.tokens}, batch {asked.batch}, {asked.pairs} turns"
    columns = ("way", "samples per CPU-second", "off from the loop by", "ours is × as fast", "aim")
    yield table(f"Exact gradient norms, {name} network ({size})", columns, lines)
    bounds = [b / (b + g) for b, g in zip(seconds[ACTIVATIONS], seconds["Gram products"], strict=True)]
    shares = [ratio / bound for ratio, bound in zip(speed(seconds, "ours", ACTIVATIONS), bounds, strict=True)]
    yield (
        f"Backward to activations and the Gram products alone would be {quartiles(bounds)} × backward to activations; "
        f"ours reaches {quartiles(shares)} of that"
        + (f" (aim: ≥ {SHARE_OF_BOUND}).\n" if name == "built-in" else ".\n")
    )


def _memory(asked: argparse.Namespace) -> str:
    lines = []
    for name in asked.networks:
        for batch, tokens in ((asked.batch, asked.tokens), (asked.long_batch, subjects.LONGEST)):
            peaks = [_child(way, name, batch, tokens) for way in ("forward", ACTIVATIONS, "ours")]
            megabytes = [f"{peak:,.0f}" for peak in peaks]
            lines.append(
                (f"{name}, T {tokens}, batch {batch}", *megabytes, significant(peaks[2] / peaks[1]), f"≤ {MAX_MEMORY}")
            )
    columns = ("network", "forward", ACTIVATIONS, "ours", "ours / activations", "aim")
    return table("Largest resident memory of a process, MB", columns, lines)


def _child(way: str, name: str, batch: int, tokens: int) -> float:
    command = [sys.executable, __file__, "--peak", way, name, str(batch), str(tokens)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(way: str, name: str, batch: int, tokens: int) -> float:
    run = WAYS[way](Subject(subjects.network(name)), subjects.rows(name, batch, tokens))
    for _ in range(3):
        run()
    return peak_megabytes()


def _difference(norms: torch.Tensor | None, expected: torch.Tensor) -> str:
    return "" if norms is None else f"{float(((norms - expected) / expected).abs().max()):.0e}"


def _rate(seconds: Seconds, way: str, samples: int) -> str:
    return significant(samples / median(seconds[way]))


def _at_least(aim: float | None) -> str:
    return f"≥ {aim}" if aim else ""


if __name__ == "__main__":
    main()
