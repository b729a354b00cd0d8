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
from pathlib import Path

from weir.local import keeper

LOG_LIMIT_BYTES = 10_000_000


class Child:
    """A program in a process group of its own, its output in ``log``.

    ``death_signal`` is what it gets when its parent is gone, and ``grace_seconds`` later its whole group is killed.
    ``user`` is a user id to run as (for root only).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
        death_signal: int = signal.SIGKILL,
        grace_seconds: float = 5,
        log_limit_bytes: int = LOG_LIMIT_BYTES,
    ) -> None:
        self.name = name
        self.log = log
        self.orders = {
            "command": [str(part) for part in command],
            "log": str(log.absolute()),
            "log_limit_bytes": log_limit_bytes,
            "user": user,
            "death_signal": int(death_signal),
            "grace_seconds": grace_seconds,
        }
        self.environment = None if environment is None else dict(environment)
        self.pid: int | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; returns when it has a process id."""
        if self.alive:
            raise RuntimeError(f"{self.name} runs already as process {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, json.dumps(self.orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        line = self._keeper.stdout.readline()
        self.pid = int(line) if line else None

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def status(self) -> int | None:
        """Exit status of the last run, 128 + signal where it was killed; None while it runs or before the first."""
        if self._keeper is None:
            return None
        code = self._keeper.poll()
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
        self._close()
        return self.status or 0

    def end(self, grace_seconds: float = 20, number: int = signal.SIGTERM) -> int:
        """Ask the program to end, and kill it when it has not after ``grace_seconds``; returns the exit status."""
        self.send(number)
        try:
            return self.wait(grace_seconds)
        except TimeoutError:
            return self.kill()

    def kill(self) -> int:
        """Kill (-9) the program and all of its group, at once."""
        if self._keeper is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._keeper.pid, signal.SIGKILL)
        return self.wait()

    def log_tail(self, lines: int = 10) -> list[str]:
        """The last lines that the program printed."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as stream:
                return [line.rstrip() for line in deque(stream, lines)]
        except FileNotFoundError:
            return []

    def _close(self) -> None:
        assert self._keeper is not None
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe is not None:
                pipe.close()
