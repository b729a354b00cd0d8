"""The scoring set on a GPU: samples a second, and the share of the device's peak that its arithmetic reaches.

    python benchmarks/gpu.py > benchmarks/results/gpu.md

A forward pass only, five forward-only estimators, and the exact gradient norm; 16 to 512 tokens; float32 and bfloat16
(autocast); the encoder as it is and compiled (the norm follows layers one by one, so only as it is). FLOP are those of
matrix products and attention, as torch counts them; the peak is the vendor's for dense products, or, of a device that
is not in the list, that of a large matrix product in the same run. ``--device cpu --quick`` runs the logic without one.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _subjects as subjects
from benchmarks._report import conditions, significant, table
from importance.estimators import get
from trainer.forward import Pass, run

WAYS = {
    "plain forward": (),
    "five estimators": ("entropy", "margin", "el2n", "loss", "last_layer_norm"),
    "gradient_norm": ("gradient_norm",),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
VENDOR_PEAKS = {
    "H200": (67, 989), "H100 80GB HBM3": (67, 989), "H100 PCIe": (51, 756), "A100": (19.5, 312), "L40S": (91.6, 362),
    "L4": (30.3, 121), "A10": (31.2, 125),
}  # fmt: skip
"""TFLOP/s of float32 without tensor cores and of dense bfloat16, from NVIDIA's data sheets."""


@dataclass(frozen=True)
class Setting:
    """The setting of one line of the table."""

    network: str
    way: str
    tokens: int
    dtype: str
    compiled: bool


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or one line without a GPU: other benchmarks follow in `make bench`."""
    asked = _parser().parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU here: nothing is measured. Its logic runs by --device cpu --quick")
        return
    device = torch.device(asked.device)
    print("# The scoring set on a GPU\n")
    print(f"{_device_name(device)}; {conditions('torch', 'transformers').partition('; kafka')[0]}.\n")
    peaks = {name: _peak(device, name, asked) for name in DTYPES}
    print(f"Peak: {', '.join(f'{name} {significant(peak / 1e12)} TFLOP/s' for name, peak in peaks.items())}.\n")
    rows = [_row(setting, device, peaks[setting.dtype], asked) for setting in _settings(asked)]
    columns = (
        "network, way",
        "T",
        "type",
        "compiled",
        "batch",
        "samples/s",
        "TFLOP/s",
        "of the peak",
        "off from float32",
    )
    print(table("Samples a second, and arithmetic", columns, rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--networks", nargs="+", choices=subjects.NETWORKS, default=subjects.NETWORKS)
    parser.add_argument("--tokens", nargs="+", type=int, default=[16, 32, 64, 128, 256, 512], help="tokens a sample")
    parser.add_argument("--batch-tokens", type=int, default=1 << 17, help="tokens a batch (131,072)")
    parser.add_argument("--repeats", type=int, default=15, help="passes, of which the median is taken (15)")
    parser.add_argument("--compile", choices=("off", "on", "both"), default="both", help="the encoder by torch.compile")
    parser.add_argument("--peak", type=float, help="the device's TFLOP/s, in place of the list's")
    parser.add_argument("--quick", action="store_true", help="one small setting of each kind, not compiled: a check")
    return parser


def _settings(asked: argparse.Namespace) -> Iterator[Setting]:
    networks, lengths = (("built-in",), [16]) if asked.quick else (asked.networks, asked.tokens)
    compiled = {"off": (False,), "on": (True,), "both": (False, True)}["off" if asked.quick else asked.compile]
    for network in networks:
        for way in WAYS:
            for tokens in lengths:
                for dtype in DTYPES:
                    for is_compiled in compiled:
                        if not (is_compiled and way == "gradient_norm"):
                            yield Setting(network, way, tokens, dtype, is_compiled)


def _row(setting: Setting, device: torch.device, peak: float, asked: argparse.Namespace) -> tuple[object, ...]:
    batch = 8 if asked.quick else max(1, asked.batch_tokens // setting.tokens)
    score = _scoring(setting, batch, device)
    as_it_is = replace(setting, compiled=False)
    counter = FlopCounterMode(display=False)
    counted = _scoring(as_it_is, batch, device)
    counted()  # the first pass of gradient_norm does more, to check
    with counter:
        counted()
    seconds = _seconds(score, device, 2 if asked.quick else asked.repeats)
    speed = counter.get_total_flops() / seconds
    off = _difference(score(), _scoring(replace(as_it_is, dtype="float32"), 8, torch.device("cpu"))())
    return (
        f"{setting.network}, {setting.way}", setting.tokens, setting.dtype, "yes" if setting.compiled else "no", batch,
        significant(batch / seconds), significant(speed / 1e12), f"{100 * speed / peak:.1f} %", f"{off:.0e}",
    )  # fmt: skip


def _scoring(setting: Setting, batch: int, device: torch.device) -> Callable[[], Pass]:
    rows, model = subjects.rows(setting.network, batch, setting.tokens), subjects.model(setting.network, device)
    if setting.compiled:
        encoder = model.network.get_submodule("bert" if setting.network == "built-in" else "network.bert")
        encoder.compile(dynamic=False)
    estimators = [get(name) for name in WAYS[setting.way]]
    encoded, labels = rows.encoded, rows.labels.numpy()
    return partial(run, model, encoded, labels, estimators, batch, autocast=setting.dtype == "bfloat16")


def _seconds(score: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median wall time of a pass, after two to warm up (and to compile); it ends with scores in main memory."""
    times = []
    for _ in range(2 + repeats):
        started = time.perf_counter()
        score()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return median(times[2:])


def _peak(device: torch.device, dtype: str, asked: argparse.Namespace) -> float:
    """Return the peak FLOP/s: by option, else by the vendor's data sheet, else measured by a large product."""
    if asked.peak:
        return float(asked.peak) * 1e12
    known = [peaks for name, peaks in VENDOR_PEAKS.items() if re.search(rf"\b{name}\b", _device_name(device))]
    if known:
        return known[0][list(DTYPES).index(dtype)] * 1e12
    size = 512 if asked.quick else 4096
    matrix = torch.randn(size, size, device=device, dtype=DTYPES[dtype])
    return 2 * size**3 / _seconds(lambda: matrix @ matrix, device, 5)


def _difference(scores: Pass, exact: Pass) -> float:
    """The largest relative distance ‖a − b‖ / ‖b‖ from float32 on the CPU, over predictions and scores."""
    pairs = [(scores.prediction, exact.prediction)]
    pairs += [(scores.importance[name], values) for name, values in exact.importance.items()]
    return max(float(np.linalg.norm(a[: len(b)] - b) / np.linalg.norm(b)) for a, b in pairs)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


if __name__ == "__main__":
    main()
