"""The ways to read a topic, each in a process of its own: ``python -m benchmarks._contestants TASK``, a task in JSON.

What it prints is what was measured, in JSON.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import faust
import msgspec

from benchmarks._meter import Measured, Meter, Task
from benchmarks._steps import effects_of, step_by_step
from importance.events import decode
from stream.app import StreamSettings, Worker, create_app
from stream.chunks import ChunkSchema
from stream.clients import async_consumer, faust_options
from stream.offset_tracker import Chunk
from stream.reports import CommittedBatch, Report
from weir.process.garbage_collection import calm_garbage_collection
from weir.settings import Settings, values

_ROOT = Path(__file__).parents[1]


async def raw(task: Task, meter: Meter) -> None:
    """Read by aiokafka's consumer alone, with our decoding."""
    limit = StreamSettings.max_poll_records
    consumer = async_consumer(task.kafka, task.topics.interactions, group_id=task.group, auto_offset_reset="earliest")
    await consumer.start()
    while not meter.done.is_set():
        fetched = await consumer.getmany(timeout_ms=1_000, max_records=limit)
        for records in fetched.values():
            for record in records:
                decode(record.value, record.timestamp)
            meter.count(len(records))
    await consumer.stop()


async def stock(task: Task, meter: Meter, **value: Any) -> None:
    """Read by Faust's ``stream.take``; ``value`` sets how it decodes a message's value."""
    with tempfile.TemporaryDirectory() as directory:
        app = faust.App(
            task.group,
            **faust_options(task.kafka),
            datadir=directory,
            store="memory://",
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            logging_config=None,
            consumer_auto_offset_reset="earliest",
        )

        async def take(stream: Any) -> None:
            async for events in stream.take(500, within=1.0):
                meter.count(len(events))

        app.agent(app.topic(task.topics.interactions, **value))(take)
        await app.start()
        await meter.done.wait()


async def transport(task: Task, meter: Meter) -> None:
    """Read by the chunk transport, with our decoding."""
    with tempfile.TemporaryDirectory() as directory:
        app = create_app(StreamSettings(task.kafka, task.group, Path(directory)))

        async def read(chunks: AsyncIterable[Chunk]) -> None:
            async for chunk in chunks:
                for record in chunk.records:
                    decode(record.value, record.timestamp)
                chunk.release()
                chunk.acknowledge()
                meter.count(chunk.count)

        interactions = app.topic(
            task.topics.interactions, acks=False, schema=ChunkSchema(), key_type=bytes, value_type=bytes
        )
        app.agent(interactions)(read)
        await app.start()
        await meter.done.wait()


async def whole(task: Task, meter: Meter) -> None:
    """Run the whole worker without a model: every sample has the same importance."""
    does = effects_of(task)

    def report(received: Report) -> None:
        does.report(received)
        if isinstance(received, CommittedBatch):
            meter.count(sum(received.counts.values()))

    with tempfile.TemporaryDirectory() as directory:
        settings = StreamSettings(task.kafka, task.group, Path(directory), task.topics)
        worker = Worker(settings, values.join(Settings()), replace(does, report=report))
        await worker.run(meter.done)


CONTESTANTS: Final[dict[str, Callable[[Task, Meter], Coroutine[Any, Any, None]]]] = {
    "raw": raw,
    "stock": partial(stock, value_type=bytes, value_serializer="raw"),
    "stock, JSON": partial(stock, value_serializer="json"),
    "transport": transport,
    "whole": whole,
    "step by step": step_by_step,
}


def run(task: Task) -> Measured:
    """Run a contestant in a separate process."""
    command = [sys.executable, "-m", "benchmarks._contestants", msgspec.json.encode(task).decode()]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Measured)


async def _main(task: Task) -> None:
    calm_garbage_collection()  # as the worker does; without it all pay for the imports of all
    meter = Meter(task)
    await CONTESTANTS[task.contestant](task, meter)
    sys.stdout.buffer.write(msgspec.json.encode(meter.measured))
    sys.stdout.flush()
    os._exit(0)  # to end in order would take seconds, which are not measured


if __name__ == "__main__":
    asyncio.run(_main(msgspec.json.decode(sys.argv[1], type=Task)))
