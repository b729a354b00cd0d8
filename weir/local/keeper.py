"""Run one program for a parent process, and end it when the parent has ended in any way.

Started by `weir.local.process` with its orders as one JSON argument; needs nothing but the standard library and imports
nothing of Weir, so that it starts in some milliseconds. Its standard input is a pipe whose other end only the parent
holds: when the parent ends, even by ``kill -9``, the pipe closes and the program is ended. The keeper writes the
program's process id to its standard output. The program's output goes to a log file of bounded size.

The keeper leads its own session: a Ctrl-C on the terminal reaches the parent only, which ends everything in order, and
``kill -9`` on the group ends the keeper, the program and the program's children. On Linux the program is also killed
when its keeper ends (PR_SET_PDEATHSIG).
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO, NoReturn

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 5.0  # as long as Postgres waits for its backends on SIGQUIT
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Log:
    """A file that is appended to, and renamed to ``NAME.1`` when it has grown past its bound."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        self.file: BinaryIO = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append; a full disk loses lines rather than the program."""
        with contextlib.suppress(OSError):
            if self.file.tell() + len(data) > self.limit_bytes:
                self.file.close()
                self.path.replace(f"{self.path}.1")
                self.file = self.path.open("ab", buffering=0)
            self.file.write(data)


def become(command: list[str], output: int, user: int | None, death_signal: int, keeper: int) -> NoReturn:
    """Replace the forked child by the program; exit with 127 when it cannot be started."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in FORWARDED:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != keeper:  # it died before the line above
                os._exit(127)
        os.execvp(command[0], command)  # noqa: S606 -- what `weir.local.process` was asked to run
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    os._exit(127)


def keep(program: int, output: int, log: Log, wakeup: int) -> int:
    """Pump output into the log until the program has ended; returns its wait status."""
    watched = [output, wakeup, 0]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if output in ready:
            data = os.read(output, 1 << 16)
            log.write(data)
            if not data:
                watched.remove(output)
        if wakeup in ready:
            for number in os.read(wakeup, 64):
                if number in FORWARDED:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(program, number)
            ended, status = os.waitpid(program, os.WNOHANG)
            if ended:
                drain(output, log)
                return status
        if 0 in ready and not os.read(0, 64):
            return -1


def drain(output: int, log: Log) -> None:
    """Read what is still in the pipe, without waiting for grandchildren that hold its other end."""
    os.set_blocking(output, False)
    with contextlib.suppress(BlockingIOError):
        while data := os.read(output, 1 << 16):
            log.write(data)


def end(program: int, death_signal: int) -> None:
    """Signal the program, wait `GRACE_SECONDS` at most, then kill the whole group, this keeper included."""
    deadline = time.monotonic() + GRACE_SECONDS
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(program, death_signal)
        while time.monotonic() < deadline and not os.waitpid(program, os.WNOHANG)[0]:
            time.sleep(0.02)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the program by the orders; return its exit status (128 + signal where it was killed)."""
    orders = json.loads(sys.argv[1])
    log = Log(Path(orders["log"]), orders["log_limit_bytes"])
    output, program_output = os.pipe()
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    for number in (*FORWARDED, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # the loop reads the wake-up pipe
    keeper = os.getpid()
    program = os.fork()
    if program == 0:
        become(orders["command"], program_output, orders["user"], orders["death_signal"], keeper)
    os.close(program_output)
    os.write(1, f"{program}\n".encode())
    status = keep(program, output, log, wakeup)
    if status == -1:
        end(program, orders["death_signal"])
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
