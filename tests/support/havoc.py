"""Faults at random moments: workers killed and stopped, servers killed and started again where they were."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.conftest import TestPostgres
from tests.support.comparison import Stop
from tests.support.lookout import Lookout
from tests.support.service import Service
from weir.local.kafka import KafkaServer

# Longer than the session time-out, after which a stopped worker's partitions are given to another one.
STOPPED_SECONDS = 12


@dataclass(frozen=True)
class Faults:
    """How many of each, and how many impressions arrive between two of them."""

    kills: int
    stops: int
    postgres_kills: int
    broker_kills: int
    impressions: int

    @property
    def total(self) -> int:
        """All faults."""
        return self.kills + self.stops + self.postgres_kills + self.broker_kills


class Havoc:
    """Inflicts faults on a service, in an order and at moments that ``seed`` decides."""

    def __init__(
        self, service: Service, lookout: Lookout, kafka: KafkaServer, postgres: TestPostgres, seed: int
    ) -> None:
        self._service, self._lookout, self._kafka, self._postgres = service, lookout, kafka, postgres
        self._rng = random.Random(seed)
        self.stops: list[Stop] = []

    def plan(self, faults: Faults) -> list[Callable[[], None]]:
        """The faults in the order in which they are to come."""
        plan = (
            [self.kill_worker] * faults.kills
            + [self.stop_worker] * faults.stops
            + [self.kill_postgres] * faults.postgres_kills
            + [self.kill_broker] * faults.broker_kills
        )
        self._rng.shuffle(plan)
        return plan

    def wait(self, decidable: int) -> None:
        """Let the workers go on to a random offset before ``decidable`` offsets are decided, and a moment further."""
        now = self._service.decided()
        goal = self._rng.randint(now, max(now, decidable - 1)) + 1
        self._service.until(f"offset {goal}", lambda: self._service.decided() >= min(goal, decidable))
        time.sleep(self._rng.random() / 2)  # into the middle of whatever a worker does then

    def kill_worker(self) -> None:
        """Kill a worker (-9); the supervisor starts it again."""
        self._rng.choice(self._service.workers).kill()

    def stop_worker(self) -> None:
        """Stop a worker that has partitions until the others have taken them and gone on, then let it go on."""
        service = self._service
        service.until("a worker with partitions", lambda: any(worker.partitions for worker in service.workers))
        worker = self._rng.choice([worker for worker in service.workers if worker.partitions])
        epochs = {at.partition: at.epoch for at in service.positions()}
        owned = worker.partitions
        began, until = time.time(), time.monotonic() + STOPPED_SECONDS
        worker.send(signal.SIGSTOP)
        service.until(
            f"another owner of {owned}",
            lambda: (
                time.monotonic() > until
                and all(at.epoch > epochs.get(at.partition, 0) for at in service.positions() if at.partition in owned)
            ),
        )
        worker.send(signal.SIGCONT)
        self.stops.append(Stop(began, time.time()))

    def kill_postgres(self) -> None:
        """Kill the database and start it again after a moment."""
        self._postgres.kill()
        time.sleep(self._rng.random())
        self._postgres.start()

    def kill_broker(self) -> None:
        """Kill the broker and start it again after a moment."""
        with self._lookout.paused:
            self._kafka.kill()
            time.sleep(self._rng.random())
            self._kafka.start()
