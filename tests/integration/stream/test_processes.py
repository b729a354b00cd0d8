"""Workers that are killed, and one that cannot stop: exact all the same."""

import random
import signal
from pathlib import Path

from tests.integration.stream.harness import (
    FORGOTTEN_MS,
    SHOWN_MS,
    heartbeat,
    impression,
    make_sandbox,
)
from tests.integration.stream.process import FileStore, Victim
from tests.support.waiting import TIMEOUT_SECONDS, eventually
from weir.local.kafka import KafkaServer

STEP_MS = 20


async def test_killed_workers_lose_nothing_double_nothing_and_never_commit_ahead(kafka: str, tmp_path: Path) -> None:
    sandbox = make_sandbox(kafka, tmp_path, partitions=2)
    count = 3_000
    for partition in (0, 1):
        shown = [impression(partition * count + n, SHOWN_MS + n * STEP_MS) for n in range(count)]
        sandbox.send([*shown, heartbeat(SHOWN_MS + count * STEP_MS + 60_000)], partition)
    store = FileStore(tmp_path / "store.sqlite")
    source = random.Random(7)
    with Victim(sandbox, store) as victim:
        for _ in range(2):
            process = victim.start()
            enough = store.count() + source.randint(200, 1_500)
            await eventually(f"{enough} samples", lambda enough=enough: store.count() >= enough)
            process.kill()
            process.wait()
            durable = store.acknowledged()
            for partition, offset in sandbox.committed().items():
                assert offset <= durable[partition]
        process = victim.start()
        await eventually("every sample", lambda: store.count() >= 2 * count)
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0
    for partition in (0, 1):
        assert store.ids(partition) == [f"view-{partition * count + n}" for n in range(count)]
    assert store.count("scored_again") == 0


async def test_a_worker_that_cannot_stop_because_the_broker_is_away_ends_by_the_clock(
    own_kafka: KafkaServer, tmp_path: Path
) -> None:
    sandbox = make_sandbox(own_kafka.bootstrap, tmp_path)
    sandbox.send([*(impression(n, SHOWN_MS) for n in range(10)), heartbeat(FORGOTTEN_MS)])
    store = FileStore(tmp_path / "store.sqlite")
    with Victim(sandbox, store) as victim:
        # What is acknowledged is to be committed at the end, not before: else there is nothing to wait for.
        process = victim.start(grace_seconds=3.0, commit_interval_seconds=3_600.0)
        await eventually("10 samples", lambda: store.count() == 10)
        sandbox.send([impression(10, FORGOTTEN_MS), heartbeat(FORGOTTEN_MS + 60_000)])
        await eventually("11 samples", lambda: store.count() == 11)  # so what came before is acknowledged
        own_kafka.kill()
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_SECONDS) == 75
