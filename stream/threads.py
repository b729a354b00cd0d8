"""Threads for what blocks: one that computes, for a model takes one batch at a time, and some that wait for storage."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """Runs functions outside the event loop. ``storing`` is how many may wait for storage at the same time."""

    def __init__(self, storing: int = 8) -> None:
        self._computing = ThreadPoolExecutor(1, "weir-compute")
        self._storing = ThreadPoolExecutor(storing, "weir-store")
        self._running: set[object] = set()

    @property
    def busy(self) -> bool:
        """Return whether a function runs, even if no task waits for it any more."""
        return bool(self._running)

    async def compute(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what needs the processor."""
        return await self._run(self._computing, function, *arguments)

    async def store(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what waits for storage."""
        return await self._run(self._storing, function, *arguments)

    async def _run(self, executor: Executor, function: Callable[..., T], *arguments: object) -> T:
        def run() -> T:
            token = object()
            self._running.add(token)
            try:
                return function(*arguments)
            finally:
                self._running.remove(token)

        return await asyncio.get_running_loop().run_in_executor(executor, run)

    def close(self) -> None:
        """Take nothing more; what runs is not waited for."""
        self._computing.shutdown(wait=False, cancel_futures=True)
        self._storing.shutdown(wait=False, cancel_futures=True)
