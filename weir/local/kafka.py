"""A private Kafka broker: KRaft, a single node, on loopback, its data in one directory."""

import base64
import os
import shutil
import socket
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path

from importance.errors import Unavailable
from weir.local.install import Tools
from weir.local.ports import LOOPBACK, free_port, until
from weir.local.process import Child, Ending

START_SECONDS = 90  # 4 s are usual; a loaded machine may need many times that
FORMAT_SECONDS = 60
# The smallest request of the protocol: length, key 18 (ApiVersions), version 0, correlation 0, client "weir".
API_VERSIONS_REQUEST = struct.pack(">ihhih4s", 14, 18, 0, 0, 4, b"weir")


class KafkaServer(Child):
    """A broker whose data and settings are in ``directory``; they are kept from one start to the next."""

    def __init__(
        self, directory: Path, tools: Tools, *, log: Path | None = None, partitions: int = 4, held: Sequence[int] = ()
    ) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.partitions = partitions
        self.port = free_port()
        self.controller_port = free_port()
        java = [str(tools.java), "-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-Djava.awt.headless=true"]
        self._java = [*java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{tools.kafka_jars}/*"]
        settings = self.directory / "server.properties"
        super().__init__(
            "kafka",
            [*self._java, "kafka.Kafka", str(settings)],
            log or self.directory / "kafka.log",
            # JAVA_TOOL_OPTIONS is meant for other Java programs.
            environment={key: value for key, value in os.environ.items() if key != "JAVA_TOOL_OPTIONS"},
            ending=Ending(seconds=30),
            held=held,
        )

    @property
    def bootstrap(self) -> str:
        """Return ``host:port`` for clients; it does not change during the life of this object."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start the broker and wait until it takes requests."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.data.exists():
            self._format()
        (self.directory / "server.properties").write_text(self._properties(self.data))
        super().start()
        if not until(self.answers, lambda: not self.alive, START_SECONDS):
            self.kill()
            raise Unavailable(f"Kafka did not start within {START_SECONDS} s: {self.exit_summary()}")

    def answers(self) -> bool:
        """Return whether the broker takes requests, which it does only once it has joined its cluster."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=5) as connection:
                connection.sendall(API_VERSIONS_REQUEST)
                return len(connection.recv(4)) == 4
        except OSError:
            return False

    def _format(self) -> None:
        """Write the identity of a new cluster, which the broker needs once; the directory is renamed when complete."""
        partial = self.directory / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        settings = self.directory / "format.properties"
        settings.write_text(self._properties(partial))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*self._java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(settings)]
        Child("kafka's format", command, self.log, environment=self.environment, held=self.held).run(FORMAT_SECONDS)
        settings.unlink()
        partial.rename(self.data)

    def _properties(self, data: Path) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": data,
            "num.partitions": self.partitions,
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # A killed broker may join again only when its last session has expired; the default is 9 s.
            "broker.session.timeout.ms": 5000,
            "broker.heartbeat.interval.ms": 500,
            # A replayed event is years old by its event time, and a stack may be stopped for months between two runs.
            "log.retention.ms": -1,
            "offsets.retention.minutes": 60 * 24 * 365,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())
