"""A child's life: its output, its status, its end, and that nothing of it stays behind."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from importance.errors import Unavailable
from weir.local.ports import free_port, until
from weir.local.process import Child, Ending, runs

STUBBORN = (
    "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)"
)
WITH_GRANDCHILD = (
    "import subprocess, sys, time\n"
    "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(grandchild.pid, flush=True)\n"
    "time.sleep(600)"
)

USUAL = Ending()
Make = Callable[..., Child]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Make]:
    """Makes children that run a piece of Python; those that still run are killed at the end."""
    made: list[Child] = []

    def make(code: str, ending: Ending = USUAL, **environment: str) -> Child:
        command = [sys.executable, "-I", "-S", "-c", code]
        made.append(Child("child", command, tmp_path / "child.log", ending=ending, environment=environment or None))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def said(child: Child, count: int = 1) -> list[str]:
    """The log's lines, once there are so many."""
    assert until(lambda: len(child.log_tail()) >= count, lambda: not child.alive, 30)
    return child.log_tail()


def test_output_and_exit_status_are_kept(child: Make) -> None:
    one = child("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    one.start()
    assert one.wait(30) == 7
    assert one.status == 7
    assert sorted(one.log_tail()) == ["err", "out"]
    assert one.exit_summary().startswith("child ended with exit status 7: ")


def test_a_program_that_cannot_be_started_says_so(tmp_path: Path) -> None:
    one = Child("nothing", ["/no/such/program"], tmp_path / "log")
    one.start()
    assert one.wait(30) == 127
    assert "No such file or directory" in one.exit_summary()


def test_the_environment_is_handed_on(child: Make) -> None:
    one = child("import os; print(os.environ['GREETING'])", GREETING="hello")
    one.start()
    one.wait(30)
    assert one.log_tail() == ["hello"]


def test_a_killed_program_reports_its_signal(child: Make) -> None:
    one = child("import os, time; print('up', flush=True); time.sleep(600)")
    one.start()
    said(one)
    one.send(signal.SIGKILL)
    assert one.wait(30) == 128 + signal.SIGKILL


def test_a_child_can_be_started_again(child: Make) -> None:
    one = child("print('run')")
    for _ in range(2):
        one.start()
        assert one.wait(30) == 0
    assert one.log_tail() == ["run", "run"]


def test_a_child_that_runs_is_not_started_twice(child: Make) -> None:
    one = child("import time; time.sleep(600)")
    one.start()
    with pytest.raises(RuntimeError, match="runs already"):
        one.start()


def test_a_program_that_ignores_its_signal_is_killed(child: Make) -> None:
    one = child(STUBBORN, Ending(seconds=0.2))
    one.start()
    said(one)
    assert one.stop() == 128 + signal.SIGKILL


def test_a_stopped_program_hears_that_it_shall_end(child: Make) -> None:
    one = child("import time; print('up', flush=True); time.sleep(600)")
    one.start()
    said(one)
    one.send(signal.SIGSTOP)
    assert one.stop() == 128 + signal.SIGTERM


def test_a_kill_takes_the_grandchildren_along(child: Make) -> None:
    one = child(WITH_GRANDCHILD)
    one.start()
    grandchild = int(said(one)[0])
    one.kill()
    assert until(lambda: not runs(grandchild), lambda: False, 30)


def test_the_program_dies_with_its_keeper(child: Make) -> None:
    if sys.platform != "linux":
        pytest.skip("PR_SET_PDEATHSIG exists on Linux only; elsewhere the supervisor kills the group")
    one = child("import time; print('up', flush=True); time.sleep(600)")
    one.start()
    said(one)
    assert one.pid is not None
    os.kill(os.getpgid(one.pid), signal.SIGKILL)  # the keeper leads the group
    assert until(lambda: not runs(one.pid or 0), lambda: False, 30)


def test_an_unread_signal_for_the_terminal_does_not_reach_the_child(child: Make) -> None:
    one = child("import time; print('up', flush=True); time.sleep(600)")
    one.start()
    said(one)
    assert one.pid is not None
    assert os.getsid(one.pid) != os.getsid(0)


def test_a_log_stays_below_its_bound(child: Make, tmp_path: Path) -> None:
    one = child("for n in range(20_000): print(f'{n:099}')")  # 2 MB
    one.log_limit_bytes = 100_000
    one.start()
    assert one.wait(60) == 0
    assert (tmp_path / "child.log").stat().st_size <= 100_000
    assert (tmp_path / "child.log.1").stat().st_size <= 100_000
    assert one.log_tail(1) == [f"{19_999:099}"]


def test_a_run_that_fails_ends_in_one_line(child: Make) -> None:
    with pytest.raises(Unavailable, match="child ended with exit status 3: no luck; see "):
        child("print('no luck'); raise SystemExit(3)").run(30)


def test_a_run_that_takes_too_long_is_killed(child: Make) -> None:
    with pytest.raises(Unavailable, match="exit status 137"):
        child("import time; time.sleep(600)").run(0.2)


def test_ports_lie_below_those_that_clients_are_given() -> None:
    assert all(20_000 <= free_port() <= 32_000 for _ in range(50))


def test_a_process_that_nobody_waited_for_does_not_run() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert until(lambda: not runs(pid), lambda: False, 30)
    os.waitpid(pid, 0)
    assert runs(os.getpid())
