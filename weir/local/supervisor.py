"""Keep children running, and end them in order. Knows neither what they do nor where they are.

One that dies is started again after a pause that doubles while it keeps dying; when it does so too often, or ends with
status 2 (wrong usage: trying again cannot help), the supervisor gives up and says why. Roles are ended first and
together, then the servers, last started first.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from importance.errors import Unavailable
from weir.local.process import Child

WRONG_USAGE = 2
INTERRUPTED = 130  # what shells report for Ctrl-C


@dataclass(frozen=True)
class Restarts:
    """When to start a child again. A run of ``stable_seconds`` or more makes the deaths before it forgotten.

    >>> policy = Restarts(first_seconds=1, longest_seconds=10, limit=6)
    >>> [policy.pause_seconds(deaths) for deaths in range(1, 7)]
    [1.0, 2.0, 4.0, 8.0, 10, None]
    """

    first_seconds: float = 0.5
    longest_seconds: float = 15
    stable_seconds: float = 20
    limit: int = 6

    def pause_seconds(self, deaths: int) -> float | None:
        """How long to wait after so many deaths in a row; None when it is enough."""
        if deaths >= self.limit:
            return None
        return min(self.first_seconds * 2.0 ** (deaths - 1), self.longest_seconds)


@dataclass
class Watched:
    """A child, and what the supervisor remembers of it."""

    child: Child
    started: float
    deaths: int = 0
    due: float | None = None  # when to start it again; None while it runs


class Supervisor:
    """Watches children from a thread of its own; every method may be called from any thread."""

    def __init__(
        self,
        say: Callable[[str], None],
        restarts: Restarts = Restarts(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._restarts = restarts
        self._clock = clock
        self._servers: list[Watched] = []
        self._roles: list[Watched] = []
        self._changing = threading.RLock()
        self._starting: Child | None = None
        self._watch = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.ending = threading.Event()  # somebody asked for the end, or the supervisor gave up
        self.failure: str | None = None  # why it gave up, in one line

    def start_server(self, child: Child) -> None:
        """Start something that others lean on: it is ended after everything that was started later."""
        self._start(child, self._servers)

    def start_role(self, child: Child) -> None:
        """Start one of those that are ended first, together."""
        self._start(child, self._roles)

    def end_role(self, child: Child) -> int:
        """End one child in good order and watch it no longer; returns its exit status."""
        with self._changing:
            self._roles = [watched for watched in self._roles if watched.child is not child]
        return child.stop()

    @property
    def children(self) -> list[Child]:
        """All that are watched, in the order of their start."""
        return [watched.child for watched in (*self._servers, *self._roles)]

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the end is asked for or the supervisor gives up; whether that happened."""
        return self.ending.wait(timeout_seconds)

    def ask_to_end(self) -> None:
        """Make `wait` return, and break off a start that is under way; used by signal handlers."""
        self.ending.set()
        starting = self._starting
        if starting is not None:
            starting.kill()

    def stop(self) -> None:
        """End everything in order: roles together, then the servers, last started first."""
        self.ask_to_end()
        while self._watch.is_alive() and self._watch is not threading.current_thread():
            self.ask_to_end()  # again: the watch may have just begun to start something
            self._watch.join(0.1)
        for watched in self._roles:
            watched.child.send(watched.child.ending.asked)
        for watched in (*self._roles, *reversed(self._servers)):
            status = watched.child.stop()
            in_order = status in (0, 128 + watched.child.ending.asked)
            self._say(f"{watched.child.name} ended" + ("" if in_order else f" with status {status}"))

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
            if self.ending.is_set():  # `ask_to_end` broke it off
                raise KeyboardInterrupt from None
            raise
        finally:
            self._starting = None
        with self._changing:
            among.append(Watched(child, self._clock()))
            if self._watch.ident is None:
                self._watch.start()

    def _run(self) -> None:
        """The thread: look at everybody, several times a second."""
        while not self.ending.wait(0.1):
            with self._changing:
                for watched in (*self._servers, *self._roles):
                    if not self.ending.is_set() and not watched.child.alive:
                        self._tend(watched)

    def _tend(self, watched: Watched) -> None:
        """Plan the start of a child that has just died, or start it when that is due."""
        now = self._clock()
        if watched.due is None:
            self._plan(watched, now)
        elif now >= watched.due:
            self._restart(watched, now)

    def _plan(self, watched: Watched, now: float) -> None:
        stable = now - watched.started >= self._restarts.stable_seconds
        watched.deaths = 1 if stable else watched.deaths + 1
        hopeless = watched.child.status == WRONG_USAGE
        pause = None if hopeless else self._restarts.pause_seconds(watched.deaths)
        if pause is None:
            times = "once" if watched.deaths == 1 else f"{watched.deaths} times in a row"
            self.failure = f"{watched.child.last_words()} (ended {times}; not started again)"
            self.ending.set()
            return
        watched.due = now + pause
        self._say(f"{watched.child.last_words()}; starting it again in {pause:g} s")

    def _restart(self, watched: Watched, now: float) -> None:
        watched.due, watched.started = None, now
        self._starting = watched.child
        try:
            watched.child.start()
        except Exception as error:  # whatever it is: the next look counts it as another death
            watched.child.kill()
            if not self.ending.is_set():
                reason = str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}"
                self._say(f"{watched.child.name} could not be started: {reason}")
        finally:
            self._starting = None


@contextmanager
def ended_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP asks for the end in order; the second ends everything at once.

    A thread reads the signals from a pipe: what it does then needs no lock that the interrupted code may hold, and it
    works while the main thread is deep inside a library.
    """
    heard, tell = os.pipe()
    os.set_blocking(tell, False)
    before_tell = signal.set_wakeup_fd(tell)
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup: it shall outlive its terminal
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    listener = threading.Thread(target=_listen, args=(heard, supervisor, set(numbers)), name="signals", daemon=True)
    listener.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_tell)
        os.close(tell)  # the listener reads the end of the pipe
        listener.join()
        os.close(heard)


def _listen(heard: int, supervisor: Supervisor, numbers: set[int]) -> None:
    asked = False
    while True:
        ready, _, _ = select.select([heard], [], [], 0.1 if asked else None)
        signals = os.read(heard, 64) if ready else b""
        if ready and not signals:
            return
        for _ in numbers.intersection(signals):
            if asked:
                supervisor.kill()
                os._exit(INTERRUPTED)
            asked = True
        if asked:
            supervisor.ask_to_end()  # again and again: a start may have been just about to begin
