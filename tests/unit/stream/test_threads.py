"""Threads for blocking calls: one computes at a time, storage may wait meanwhile, and what runs is counted."""

import asyncio
from collections.abc import Iterator
from threading import Barrier, Event, current_thread

import pytest

from stream.threads import Threads
from tests.support.waiting import TIMEOUT_SECONDS


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(storing=2)
    yield threads
    threads.close()


async def test_a_result_and_an_error_reach_the_caller(threads: Threads) -> None:
    assert await threads.compute(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.store(divmod, 7, 0)
    assert not threads.busy


async def test_one_computes_at_a_time(threads: Threads) -> None:
    running: list[str] = []

    def compute(name: str) -> list[str]:
        running.append(name)
        seen = list(running)
        running.remove(name)
        return seen

    names = [str(number) for number in range(20)]
    assert await asyncio.gather(*(threads.compute(compute, name) for name in names)) == [[name] for name in names]


async def test_as_many_wait_for_storage_as_may_while_another_computes(threads: Threads) -> None:
    met = Barrier(3)
    calls = [threads.store(met.wait, TIMEOUT_SECONDS) for _ in range(2)]
    assert sorted(await asyncio.gather(*calls, threads.compute(met.wait, TIMEOUT_SECONDS))) == [0, 1, 2]


async def test_what_no_task_waits_for_any_more_still_counts_as_running(threads: Threads) -> None:
    started, may_end = asyncio.Event(), Event()
    loop = asyncio.get_running_loop()

    def store() -> str:
        loop.call_soon_threadsafe(started.set)
        may_end.wait(TIMEOUT_SECONDS)
        return current_thread().name

    task = asyncio.create_task(threads.store(store))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert threads.busy
    may_end.set()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while threads.busy:
            await asyncio.sleep(0.001)


async def test_nothing_is_taken_after_the_end(threads: Threads) -> None:
    threads.close()
    with pytest.raises(RuntimeError):
        await threads.compute(int)
