"""CPU seconds of ``weir up`` and of all its child processes, by stage."""

from collections.abc import Callable, Iterable

import psutil

from weir.local.process import Child

OWN = "replay"
_STAGES = {"worker": "scoring", "trainer": "fine_tuning"}


class CpuClock:
    """CPU seconds of consecutive stages, then of each process since the last of these stages ended.

    The seconds of a child that died and was restarted count as this process's own.
    """

    def __init__(self, children: Callable[[], Iterable[Child]]) -> None:
        self._children = children
        self._ended: dict[str, float] = {}
        self._counted: dict[str, float] = {}  # by process: seconds in the ended stages

    def end(self, stage: str) -> None:
        """End a stage: it used everything since the previous one ended."""
        now = self._read()
        self._ended[stage] = sum(now.values()) - sum(self._counted.values())
        self._counted = now

    def seconds(self) -> dict[str, float]:
        """Return the ended stages, then this process as ``replay`` and each child under the stage that it works for."""
        since = {name: used - self._counted.get(name, 0.0) for name, used in self._read().items()}
        by_stage = self._ended | {_STAGES.get(name, name): used for name, used in since.items()}
        return {stage: round(used, 1) for stage, used in by_stage.items()}

    def _read(self) -> dict[str, float]:
        return {OWN: _used(psutil.Process())} | {
            child.name: cpu_seconds(child.pid) for child in self._children() if child.pid is not None
        }


def cpu_seconds(pid: int) -> float:
    """Return the user and system seconds of a process and its descendants so far; 0 when it has ended."""
    try:
        process = psutil.Process(pid)
        return _used(process) + sum(cpu_seconds(child.pid) for child in process.children())
    except psutil.NoSuchProcess:
        return 0.0


def _used(process: psutil.Process) -> float:
    """Return its own seconds and those of its children that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
