"""Two processes of torchrun make the fine-tune that one makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support import distributed_fine_tune
from tests.unit.trainer.conftest import shop
from tests.unit.trainer.tuning.cases import without_dropout
from trainer import version_directory as versions
from trainer.device import use_threads
from trainer.memory import weights_of


def test_two_processes_are_one_within_rounding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    use_threads(1)
    version = versions.save(without_dropout(shop(120)), tmp_path / "version")
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*started, distributed_fine_tune.__file__, str(version), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("full", "adalora"):
        alone = distributed_fine_tune.tuned(version, name)
        one, two = weights_of(alone.model), weights_of(versions.load(tmp_path / name))
        largest = max(float((one[part] - two[part]).abs().max()) for part in one)
        with capsys.disabled():
            print(f"\nlargest weight difference of two processes to one, {name}: {largest:.2g}")
        assert largest < 1e-4  # eight steps of up to 1e-3
        assert (tmp_path / name / "right").read_bytes() == alone.right.tobytes()
        assert not all(
            torch.equal(weight, before)
            for weight, before in zip(one.values(), weights_of(versions.load(version)).values(), strict=True)
        )
