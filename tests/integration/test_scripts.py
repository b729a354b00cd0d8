"""The benchmarks as scripts."""

import subprocess
import sys
from pathlib import Path


def test_a_benchmark_starts_although_files_next_to_it_are_named_like_packages() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "learning.py"
    assert (script.parent / "stream.py").exists()
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
