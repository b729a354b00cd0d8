"""A child process that cannot be orphaned: started, watched, ended, killed.

Every child has a keeper (`weir.local.keeper`) in between, which ends it when this process has ended. Restarts are in
`supervisor`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from importance.errors import Unavailable
from weir.local import keeper


def runs(pid: int) -> bool:
    """Return whether a process runs; a zombie, which has ended and was not waited for, does not."""
    try:
        return pid > 0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Ending:
    """How a program is ended: the signal ``asked``, killed ``seconds`` later; ``orphaned``: when the parent is gone."""

    asked: int = signal.SIGTERM
    seconds: float = 20
    orphaned: int = signal.SIGKILL


class Child:
    """A program in its own process group, its output appended to ``log``; it can be started any number of times.

    ``user`` is a user id to run as, for root only. ``held`` are descriptors that the program keeps open, so that a lock
    on one of them lasts as long as the program.
    """

    log_limit_bytes = 10_000_000  # and as much again in NAME.log.1

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        ending: Ending = Ending(),
        user: int | None = None,
        held: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log.absolute()
        self.environment = None if environment is None else dict(environment)
        self.ending = ending
        self.user = user
        self.held = tuple(held)
        self.pid: int | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; return when it has a process id."""
        if self.alive:
            raise RuntimeError(f"{self.name} runs already as process {self.pid}")
        self._close_keeper_pipe()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        orders = {
            "command": self.command,
            "log": str(self.log),
            "log_limit_bytes": self.log_limit_bytes,
            "user": self.user,
            "death_signal": int(self.ending.orphaned),
        }
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, json.dumps(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
            pass_fds=self.held,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        with self._keeper.stdout as report:
            line = report.readline()
        self.pid = int(line) if line else None

    @property
    def alive(self) -> bool:
        """Return whether the program runs."""
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def status(self) -> int | None:
        """Return the exit status of the last run, 128 + signal where it was killed.

        None while the program runs and before its first start.
        """
        code = None if self._keeper is None else self._keeper.poll()
        return 128 - code if code is not None and code < 0 else code

    def send(self, number: int) -> None:
        """Send a signal to the program if it runs."""
        if self.pid is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Wait for the end and return the exit status; raises TimeoutError."""
        if self._keeper is None:
            return 0
        try:
            self._keeper.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {timeout_seconds} s") from None
        self._close_keeper_pipe()
        return self.status or 0

    def stop(self) -> int:
        """Ask the program to end, and kill it when it does not in time; return the exit status."""
        self.ask()
        return self.end()

    def ask(self) -> None:
        """Ask the program to end, which is to be done once: a role takes a second signal as an order to end at once."""
        self.send(self.ending.asked)
        self.send(signal.SIGCONT)  # a stopped process does not handle signals

    def end(self) -> int:
        """Wait for a program that was asked to end, and kill it when it does not in time; return the exit status."""
        try:
            return self.wait(self.ending.seconds)
        except TimeoutError:
            return self.kill()

    def kill(self) -> int:
        """Kill (-9) the program and its whole process group, as a fault does. `start` starts it again."""
        if self._keeper is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._keeper.pid, signal.SIGKILL)
        return self.wait()

    def run(self, timeout_seconds: float) -> Self:
        """Start a program that ends by itself, and wait for it; raise Unavailable with `exit_summary` if it failed."""
        self.start()
        try:
            status = self.wait(timeout_seconds)
        except TimeoutError:
            status = self.kill()
        if status:
            raise Unavailable(self.exit_summary())
        return self

    def exit_summary(self) -> str:
        """Return one line: the exit status, the last error or output, and the path of the log."""
        by_itself = self.status is not None and self.status < 128  # a killed program has not logged why
        error = _last_error(self.log_tail(200)) if by_itself else None
        text = error or " | ".join(_without_trace(self.log_tail(200))[-3:]) or "it printed nothing"
        return f"{self.name} ended with exit status {self.status}: {text}; see {self.log}"

    def log_tail(self, lines: int = 10) -> list[str]:
        """Return the last lines of the log that are not empty."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as stream:
                return list(deque((line.rstrip() for line in stream if line.strip()), lines))
        except FileNotFoundError:
            return []

    def _close_keeper_pipe(self) -> None:
        """Close the pipe to a keeper that has ended; a running keeper would end the program."""
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()


def _without_trace(lines: Sequence[str]) -> list[str]:
    r"""Return ``lines`` without those of a Java stack trace, which give the position and not the cause.

    >>> _without_trace(["Exception in thread main: no such file", "\tat kafka.Kafka.main(Kafka.scala)"])
    ['Exception in thread main: no such file']
    """
    return [line for line in lines if not line.startswith(("\tat ", "\t..."))]


def _last_error(lines: Sequence[str]) -> str | None:
    r"""Return the last error of a role's JSON log in a line: its event, and its reason or the exception's last line.

    None when the log does not end in JSON: then its last lines are more useful.

    >>> _last_error(['{"level": "error", "event": "worker failed", "exception": "Traceback\\nValueError: no"}',
    ...              '{"level": "info", "event": "stopping"}'])
    'worker failed: ValueError: no'
    """
    found: str | None = None
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            found = None
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
            why = str(entry.get("reason") or entry.get("exception") or "").strip()
            found = ": ".join(part for part in (str(entry.get("event", "")), why.rpartition("\n")[2]) if part)
    return found
