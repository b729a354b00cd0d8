"""One child process that cannot be orphaned: started, watched, ended, killed.

Every child has a keeper (`weir.local.keeper`) in between, which ends it when this process is gone. Knows nothing of
what the child does, nor of restarts.
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
    """Whether a process runs; one that has ended and that nobody has waited for yet does not."""
    try:
        return pid > 0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Ending:
    """How a program is ended: ``asked`` by a signal, killed ``seconds`` later; ``orphaned`` if its parent vanishes."""

    asked: int = signal.SIGTERM
    seconds: float = 20
    orphaned: int = signal.SIGKILL


class Child:
    """A program in a process group of its own, its output appended to ``log``; it can be started again and again.

    ``user`` is a user id to run as, for root only. ``held`` are descriptors that the program shall keep open, so that a
    lock on one of them lasts as long as it does.
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
        """Start the program; returns when it has a process id."""
        if self.alive:
            raise RuntimeError(f"{self.name} runs already as process {self.pid}")
        self._let_go()
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
        """Whether the program runs."""
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def status(self) -> int | None:
        """Exit status of the last run, 128 + signal where it was killed; None while it runs and before the first."""
        code = None if self._keeper is None else self._keeper.poll()
        return 128 - code if code is not None and code < 0 else code

    def send(self, number: int) -> None:
        """Send a signal to the program; one that has ended gets nothing."""
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
        self._let_go()
        return self.status or 0

    def stop(self) -> int:
        """Ask the program to end, and kill it when it does not in time; returns the exit status."""
        self.send(self.ending.asked)
        self.send(signal.SIGCONT)  # one that is stopped could not hear it
        try:
            return self.wait(self.ending.seconds)
        except TimeoutError:
            return self.kill()

    def kill(self) -> int:
        """Kill (-9) the program and all of its group, as a fault does. `start` brings it back."""
        if self._keeper is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._keeper.pid, signal.SIGKILL)
        return self.wait()

    def run(self, timeout_seconds: float) -> Self:
        """Start a program that ends by itself, and wait for it; raises Unavailable with its last words."""
        self.start()
        try:
            status = self.wait(timeout_seconds)
        except TimeoutError:
            status = self.kill()
        if status:
            raise Unavailable(self.last_words())
        return self

    def last_words(self) -> str:
        """One line for a person: how the program ended, what it said last, and where the rest is."""
        by_itself = self.status is not None and self.status < 128  # a signal's victim has nothing to say about it
        error = _last_error(self.log_tail(200)) if by_itself else None
        said = error or " | ".join(_without_trace(self.log_tail(200))[-3:]) or "it said nothing"
        return f"{self.name} ended with exit status {self.status}: {said}; see {self.log}"

    def log_tail(self, lines: int = 10) -> list[str]:
        """The last lines that are not empty in the log."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as stream:
                return list(deque((line.rstrip() for line in stream if line.strip()), lines))
        except FileNotFoundError:
            return []

    def _let_go(self) -> None:
        """Close the pipe to a keeper that has ended; were it alive, it would end the program."""
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()


def _without_trace(lines: Sequence[str]) -> list[str]:
    r"""Lines without those of a Java stack trace, which say where and not what.

    >>> _without_trace(["Exception in thread main: no such folder", "\tat kafka.Kafka.main(Kafka.scala)"])
    ['Exception in thread main: no such folder']
    """
    return [line for line in lines if not line.startswith(("\tat ", "\t..."))]


def _last_error(lines: Sequence[str]) -> str | None:
    r"""The last error of a role's JSON log, in a line: its event, and its reason or the exception's last line.

    Only when the log is JSON to its end: else the program's own last words say more.

    >>> _last_error(['{"level": "error", "event": "worker failed", "exception": "Traceback\\nValueError: no"}',
    ...              '{"level": "info", "event": "stopping"}'])
    'worker failed: ValueError: no'
    """
    told: str | None = None
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            told = None
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
            why = str(entry.get("reason") or entry.get("exception") or "").strip()
            told = ": ".join(part for part in (str(entry.get("event", "")), why.rpartition("\n")[2]) if part)
    return told
