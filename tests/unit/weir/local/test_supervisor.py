"""Who is started again and when, and in which order everything ends; with real children."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from importance.errors import Unavailable
from weir.local.ports import until
from weir.local.process import Child
from weir.local.supervisor import Restarts, Supervisor, ended_by_signals

QUICK = Restarts(first_seconds=0.05, longest_seconds=0.1, stable_seconds=60, limit=3)
RUNS = "import time; print('up', flush=True); time.sleep(600)"
# Writes its name into one file when it is asked to end, so that the order can be read there.
NOTES = (
    "import os, signal, sys, time\n"
    "name, path = sys.argv[1:]\n"
    "def end(*_):\n"
    "    with open(path, 'a') as notes: notes.write(name + '\\n')\n"
    "    sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('up', flush=True)\n"
    "time.sleep(600)"
)

Make = Callable[..., Child]


@pytest.fixture
def child(tmp_path: Path) -> Make:
    def make(name: str, code: str, *arguments: str) -> Child:
        return Child(name, [sys.executable, "-I", "-S", "-c", code, *arguments], tmp_path / f"{name}.log")

    return make


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def supervisor(lines: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(lines.append, QUICK)
    yield supervisor
    supervisor.stop()


def up(child: Child, times: int = 1) -> None:
    assert until(lambda: child.log_tail() == ["up"] * times, lambda: False, 30)


def test_a_child_that_dies_is_started_again(supervisor: Supervisor, child: Make, lines: list[str]) -> None:
    one = child("worker", RUNS)
    supervisor.start_role(one)
    up(one)
    first = one.pid
    one.kill()
    up(one, times=2)
    assert one.pid != first
    assert lines[0].startswith("worker ended with exit status 137: up; see ")
    assert lines[0].endswith("starting it again in 0.05 s")


def test_one_that_keeps_dying_is_given_up_with_its_last_words(supervisor: Supervisor, child: Make) -> None:
    one = child("worker", "print('no database'); raise SystemExit(70)")
    supervisor.start_role(one)
    assert supervisor.wait(30)
    assert supervisor.failure is not None
    assert supervisor.failure.startswith("worker ended with exit status 70: no database")
    assert supervisor.failure.endswith("(ended 3 times in a row; not started again)")
    assert one.log_tail() == ["no database"] * 3


def test_wrong_usage_is_not_tried_again(supervisor: Supervisor, child: Make) -> None:
    one = child("worker", "print('WEIR_SEED is x'); raise SystemExit(2)")
    supervisor.start_role(one)
    assert supervisor.wait(30)
    assert one.log_tail() == ["WEIR_SEED is x"]
    assert supervisor.failure is not None
    assert supervisor.failure.endswith("(ended once; not started again)")


@pytest.mark.parametrize("runs_already", [False, True])
def test_a_start_that_fails_in_any_way_is_one_more_death(
    runs_already: bool, supervisor: Supervisor, lines: list[str], tmp_path: Path
) -> None:
    class Fragile(Child):
        """A server that starts once, and then no more."""

        def start(self) -> None:
            if self.pid is None or runs_already:
                first = self.pid is None
                super().start()
                if first:
                    return
            raise OSError("no space left")

    one = Fragile("kafka", [sys.executable, "-I", "-S", "-c", RUNS], tmp_path / "log")
    supervisor.start_server(one)
    up(one)
    one.kill()
    assert supervisor.wait(30)
    assert supervisor.failure is not None
    assert supervisor.failure.endswith("(ended 3 times in a row; not started again)")
    assert lines.count("kafka could not be started: OSError: no space left") == 2
    assert not one.alive


def test_a_run_of_some_length_makes_earlier_deaths_forgotten(child: Make) -> None:
    times = iter(range(0, 1_000_000, 100))  # every look is 100 s after the last
    supervisor = Supervisor(lambda _: None, QUICK, clock=lambda: next(times))
    one = child("worker", "print('up')")
    supervisor.start_role(one)
    assert until(lambda: len(one.log_tail(100)) > 3 * QUICK.limit, lambda: False, 60)
    supervisor.stop()
    assert supervisor.failure is None


def test_a_role_that_is_ended_on_purpose_stays_ended(supervisor: Supervisor, child: Make, lines: list[str]) -> None:
    ended, other = child("trainer", RUNS), child("worker", RUNS)
    supervisor.start_role(ended)
    supervisor.start_role(other)
    up(ended)
    up(other)
    assert supervisor.end_role(ended) == 128 + 15
    other.kill()  # that this one comes back shows that the supervisor has looked since
    up(other, times=2)
    assert not ended.alive
    assert supervisor.children == [other]
    assert not any(line.startswith("trainer") for line in lines)


def test_roles_end_before_servers_and_servers_in_reverse(child: Make, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    supervisor = Supervisor(lambda _: None)
    children = {name: child(name, NOTES, name, str(notes)) for name in ("postgres", "kafka", "worker", "trainer")}
    for name in ("postgres", "kafka"):
        supervisor.start_server(children[name])
    for name in ("worker", "trainer"):
        supervisor.start_role(children[name])
    for one in children.values():
        up(one)
    supervisor.stop()
    order = notes.read_text().split()
    assert sorted(order[:2]) == ["trainer", "worker"]
    assert order[2:] == ["kafka", "postgres"]
    assert not any(one.alive for one in children.values())


def test_nothing_is_started_once_the_end_is_asked_for(supervisor: Supervisor, child: Make) -> None:
    supervisor.ask_to_end()
    one = child("worker", RUNS)
    with pytest.raises(KeyboardInterrupt):
        supervisor.start_role(one)
    assert one.pid is None


def test_a_kill_ends_what_ignores_signals(child: Make) -> None:
    supervisor = Supervisor(lambda _: None)
    one = child("stubborn", "import signal; signal.signal(15, signal.SIG_IGN)\n" + RUNS)
    supervisor.start_role(one)
    up(one)
    supervisor.kill()
    assert one.status == 128 + 9


def test_an_end_that_is_asked_for_during_a_start_breaks_the_start_off(tmp_path: Path) -> None:
    class Slow(Child):
        """A server that never becomes ready."""

        def start(self) -> None:
            super().start()
            started.set()
            if not until(lambda: False, lambda: not self.alive, 60):
                raise Unavailable("it did not start")

    started = threading.Event()
    supervisor = Supervisor(lambda _: None)
    slow = Slow("kafka", [sys.executable, "-c", RUNS], tmp_path / "log")

    def ask() -> None:
        started.wait()
        supervisor.ask_to_end()

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(KeyboardInterrupt):
        supervisor.start_server(slow)
    asking.join()
    assert not slow.alive


def test_an_end_that_is_asked_for_between_two_starts_is_kept(child: Make) -> None:
    class Asking(Child):
        """Somebody asks for the end just before it is up."""

        def start(self) -> None:
            supervisor.ending.set()
            assert until(lambda: not watch.is_alive(), lambda: False, 30)
            super().start()

    supervisor = Supervisor(lambda _: None)
    first = child("postgres", RUNS)
    supervisor.start_server(first)
    (watch,) = (thread for thread in threading.enumerate() if thread.name == "supervisor")
    second = Asking("kafka", first.command, first.log)
    supervisor.start_server(second)
    with pytest.raises(KeyboardInterrupt):
        supervisor.start_role(child("worker", RUNS))
    supervisor.stop()
    assert not first.alive
    assert not second.alive


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("default_hangup")
def test_a_signal_asks_for_the_end(number: signal.Signals, supervisor: Supervisor) -> None:
    before = signal.getsignal(number)
    with ended_by_signals(supervisor):
        os.kill(os.getpid(), number)
        assert supervisor.wait(30)
    assert signal.getsignal(number) == before


def test_under_nohup_the_end_of_the_terminal_ends_nothing(supervisor: Supervisor) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals(supervisor):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not supervisor.ending.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
