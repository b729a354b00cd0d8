"""Any role as a process of its own, beside the workers of a service, and whether it says that it is ready."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.waiting import until
from tests.support.worker import WorkerProcess


class RoleProcess(WorkerProcess):
    """``weir worker``, ``weir trainer`` or ``weir api``. No supervisor starts it again."""

    def __init__(self, role: str, home: Path, environment: Mapping[str, str]) -> None:
        super().__init__(role, home, environment)
        self.command[-1] = role


@contextmanager
def running(role: str, home: Path, environment: Mapping[str, str]) -> Iterator[RoleProcess]:
    """A role for the length of a block, then asked to end."""
    process = RoleProcess(role, home, environment)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def page(process: WorkerProcess) -> str | None:
    """The address of a role's page; None before it is served."""
    pages = process.said("metrics endpoint started") + process.said("api is served")
    return str(pages[-1]["url"]) if pages else None


def not_ready(process: WorkerProcess) -> list[str]:
    """Why a role is not ready, by its page; empty when it is."""
    url = page(process)
    if url is None:
        return ["there is no page yet"]
    try:
        answer = httpx.get(f"{url}/readyz", timeout=5)
    except httpx.TransportError as error:
        return [f"its page does not answer: {error}"]
    reasons: list[str] = answer.json()["reasons"]
    assert answer.status_code == (503 if reasons else 200)
    return reasons


def until_alive(what: str, ready: Callable[[], bool], roles: Sequence[RoleProcess]) -> None:
    """Wait for a state of roles that must not end meanwhile."""

    def holds() -> bool:
        held = ready()
        for role in roles:
            assert held or role.alive, role.exit_summary()
        return held

    until(what, holds, state=lambda: [role.log_tail(3) for role in roles])
