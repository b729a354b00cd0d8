"""CPU seconds of ``weir up`` and of all that it started, by stage. Knows nothing of what a stage does."""

from collections.abc import Callable, Iterable

import psutil

from weir.local.process import Child

OWN = "replay"
_STAGES = {"worker": "scoring", "trainer": "fine_tuning"}


class CpuClock:
    """Stages that follow one another, and then, by process, what each has used since the last of them ended.

    What a child used that died and was started again counts as this process's own.
    """

    def __init__(self, children: Callable[[], Iterable[Child]]) -> None:
        self._children = children
        self._ended: dict[str, float] = {}
        self._counted: dict[str, float] = {}  # by process: what the ended stages hold of it

    def end(self, stage: str) -> None:
        """End a stage: it used whatever was used since the one before."""
        now = self._read()
        self._ended[stage] = sum(now.values()) - sum(self._counted.values())
        self._counted = now

    def seconds(self) -> dict[str, float]:
        """The stages that have ended, then this process as ``replay`` and each child by the stage that it works for."""
        since = {name: used - self._counted.get(name, 0.0) for name, used in self._read().items()}
        by_stage = self._ended | {_STAGES.get(name, name): used for name, used in since.items()}
        return {stage: round(used, 1) for stage, used in by_stage.items()}

    def _read(self) -> dict[str, float]:
        return {OWN: _used(psutil.Process())} | {
            child.name: cpu_seconds(child.pid) for child in self._children() if child.pid is not None
        }


def cpu_seconds(pid: int) -> float:
    """What a process and its descendants have used so far, user and system; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        return _used(process) + sum(cpu_seconds(child.pid) for child in process.children())
    except psutil.NoSuchProcess:
        return 0.0


def _used(process: psutil.Process) -> float:
    """Its own seconds, and those of its children that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
