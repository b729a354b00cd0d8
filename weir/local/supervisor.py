"""Keep child processes running, and end them in order.

A child that dies is started again after a pause that doubles while it keeps dying. When it dies too often, or ends with
status 2 (wrong usage: a restart cannot help), the supervisor stops and sets `Supervisor.failure`. Roles are ended first
and together, then the servers, last started first.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from importance.errors import Unavailable
from weir.local.process import Child
from weir.process.background import Background
from weir.process.signals import hangup

WRONG_USAGE = 2
INTERRUPTED = 130  # what shells report for Ctrl-C


@dataclass(frozen=True)
class Restarts:
    """When to start a child again. A run of ``stable_seconds`` or more resets the number of deaths.

    >>> policy = Restarts(first_seconds=1, longest_seconds=10, limit=6)
    >>> [policy.pause_seconds(deaths) for deaths in range(1, 7)]
    [1.0, 2.0, 4.0, 8.0, 10, None]
    """

    first_seconds: float = 0.5
    longest_seconds: float = 15
    stable_seconds: float = 20
    limit: int = 6

    def pause_seconds(self, deaths: int) -> float | None:
        """Return the pause after so many deaths in a row; None when the child is not started again."""
        if deaths >= self.limit:
            return None
        return min(self.first_seconds * 2.0 ** (deaths - 1), self.longest_seconds)


@dataclass
class Watched:
    """A child, and the supervisor's state of it."""

    child: Child
    started: float
    deaths: int = 0
    due: float | None = None  # when to start it again; None while it runs


class Supervisor:
    """Watches children from a thread of its own; every method may be called from any thread."""

    def __init__(
        self,
        report: Callable[[str], None],
        restarts: Restarts = Restarts(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._restarts = restarts
        self._clock = clock
        self._servers: list[Watched] = []
        self._roles: list[Watched] = []
        self._changing = threading.RLock()
        self._starting: Child | None = None
        self._watch = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.ending = threading.Event()  # set by a request to end, or when a child is not started again
        self.failure: str | None = None  # why a child is not started again, in one line

    def start_server(self, child: Child) -> None:
        """Start a server, which roles depend on: it is ended after everything that was started later."""
        self._start(child, self._servers)

    def start_role(self, child: Child) -> None:
        """Start a role; all roles are ended first, together."""
        self._start(child, self._roles)

    def end_role(self, child: Child) -> int:
        """End one role in order and stop watching it; return its exit status."""
        with self._changing:
            self._roles = [watched for watched in self._roles if watched.child is not child]
        return child.stop()

    @property
    def children(self) -> list[Child]:
        """Return all watched children, servers first, in the order of their start."""
        return [watched.child for watched in (*self._servers, *self._roles)]

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the end is asked for or a child is not started again; return whether that happened."""
        return self.ending.wait(timeout_seconds)

    def ask_to_end(self) -> None:
        """Make `wait` return, and interrupt a start in progress; used by signal handlers."""
        self.ending.set()
        starting = self._starting
        if starting is not None:
            starting.kill()

    def stop(self) -> None:
        """End everything in order: roles together, then the servers, last started first."""
        self.ask_to_end()
        while self._watch.is_alive() and self._watch is not threading.current_thread():
            self.ask_to_end()  # again: the watch may have just started a child
            self._watch.join(0.1)
        for watched in self._roles:
            watched.child.ask()
        for watched in (*self._roles, *reversed(self._servers)):
            status = watched.child.end() if watched in self._roles else watched.child.stop()
            in_order = status in (0, 128 + watched.child.ending.asked)
            self._report(f"{watched.child.name} ended" + ("" if in_order else f" with status {status}"))

    def kill(self) -> None:
        """End everything at once (-9)."""
        self.ending.set()
        for child in reversed(self.children):
            child.kill()

    def _start(self, child: Child, among: list[Watched]) -> None:
        if self.ending.is_set():
            raise KeyboardInterrupt
        self._starting = child
        try:
            child.start()
        except Unavailable:
            if self.ending.is_set():  # interrupted by `ask_to_end`
                raise KeyboardInterrupt from None
            raise
        finally:
            self._starting = None
        with self._changing:
            among.append(Watched(child, self._clock()))
            if self._watch.ident is None:
                self._watch.start()

    def _run(self) -> None:
        """Check every child several times a second; the body of the thread."""
        while not self.ending.wait(0.1):
            with self._changing:
                for watched in (*self._servers, *self._roles):
                    if not self.ending.is_set() and not watched.child.alive:
                        self._check(watched)

    def _check(self, watched: Watched) -> None:
        """Plan the restart of a child that has just died, or restart it when that is due."""
        now = self._clock()
        if watched.due is None:
            self._plan_restart(watched, now)
        elif now >= watched.due:
            self._restart(watched, now)

    def _plan_restart(self, watched: Watched, now: float) -> None:
        stable = now - watched.started >= self._restarts.stable_seconds
        watched.deaths = 1 if stable else watched.deaths + 1
        hopeless = watched.child.status == WRONG_USAGE
        pause = None if hopeless else self._restarts.pause_seconds(watched.deaths)
        if pause is None:
            times = "once" if watched.deaths == 1 else f"{watched.deaths} times in a row"
            self.failure = f"{watched.child.exit_summary()} (ended {times}; not started again)"
            self.ending.set()
            return
        watched.due = now + pause
        self._report(f"{watched.child.exit_summary()}; starting it again in {pause:g} s")

    def _restart(self, watched: Watched, now: float) -> None:
        watched.due, watched.started = None, now
        self._starting = watched.child
        try:
            watched.child.start()
        except Exception as error:  # of any kind: the next check counts it as another death
            watched.child.kill()
            if not self.ending.is_set():
                reason = str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}"
                self._report(f"{watched.child.name} could not be started: {reason}")
        finally:
            self._starting = None


@contextmanager
def ended_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """End in order at the first SIGINT, SIGTERM or SIGHUP; kill everything at the second.

    A thread reads the signals from a pipe: it needs no lock that the interrupted code may hold, and it works while the
    main thread is inside a library.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    previous_write_end = signal.set_wakeup_fd(write_end)
    numbers = (signal.SIGINT, signal.SIGTERM, *hangup())
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_write_end)
        os.close(write_end)  # the listener reads the end of the pipe

    try:
        with Background("signals", partial(_listen, read_end, supervisor, set(numbers)), restore):
            yield
    finally:
        os.close(read_end)


def _listen(read_end: int, supervisor: Supervisor, numbers: set[int]) -> None:
    asked = False
    while True:
        ready, _, _ = select.select([read_end], [], [], 0.1 if asked else None)
        signals = os.read(read_end, 64) if ready else b""
        if ready and not signals:
            return
        for _ in numbers.intersection(signals):
            if asked:
                supervisor.kill()
                os._exit(INTERRUPTED)
            asked = True
        if asked:
            supervisor.ask_to_end()  # repeated: another start may have been about to run
