"""CPU seconds are of the stage and the process that used them."""

import os
import subprocess
import sys
import time

import pytest

from weir.demo.cpu import OWN, CpuClock, cpu_seconds

# A little more than half a second: the kernel counts in hundredths.
BURN = "import time\nwhile time.process_time() < 0.6: pass\nprint(flush=True)\ninput()"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_stages_follow_one_another_and_the_rest_is_of_this_process() -> None:
    clock = CpuClock(list)
    clock.end("start")
    burn(0.4)
    clock.end("first")
    burn(0.8)
    seconds = clock.seconds()
    assert list(seconds) == ["start", "first", OWN]
    assert seconds["first"] == pytest.approx(0.4, abs=0.2)
    assert seconds[OWN] == pytest.approx(0.8, abs=0.2)


def test_descendants_count_while_they_run_and_when_they_have_ended() -> None:
    shell = f'"{sys.executable}" -c "{BURN}"'
    with subprocess.Popen(["sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        running = cpu_seconds(process.pid)
        assert 0.5 <= running < 5
        process.communicate("\n\n")
    assert cpu_seconds(process.pid) == 0
    assert cpu_seconds(os.getpid()) > 0
