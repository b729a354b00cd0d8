"""One Kafka broker of one's own: KRaft, a single node, on loopback, its data in one folder."""

import base64
import os
import shutil
import signal
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from importance.errors import Unavailable
from weir.local.install import Tools
from weir.local.ports import LOOPBACK, free_port, until
from weir.local.process import Child

START_SECONDS = 90  # 4 s are usual; a loaded machine may need many times that
STOP_SECONDS = 30
# The smallest request of the protocol: length, key 18, version 0, correlation 0, client "weir".
API_VERSIONS_REQUEST = struct.pack(">ihhih4s", 14, 18, 0, 0, 4, b"weir")


class KafkaServer:
    """A broker whose data, settings and log lie in ``folder``; started again there, it has what it had."""

    def __init__(self, folder: Path, tools: Tools, *, log: Path | None = None, partitions: int = 4) -> None:
        self.folder = folder.absolute()
        self.tools = tools
        self.partitions = partitions
        self.port = free_port()
        self.controller_port = free_port()
        java = [str(tools.java), "-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-Djava.awt.headless=true"]
        self._java = [*java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{tools.kafka_jars}/*"]
        self.child = Child(
            "kafka",
            [*self._java, "kafka.Kafka", str(self.properties)],
            log or self.folder / "kafka.log",
            # The garbage of other Java programs' settings in the environment is not for this one.
            environment={
                key: value for key, value in os.environ.items() if key not in ("CLASSPATH", "JAVA_TOOL_OPTIONS")
            },
        )

    @property
    def bootstrap(self) -> str:
        """``host:port``, as clients want it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def properties(self) -> Path:
        """The broker's settings file, written anew at each start."""
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        """Where the topics lie."""
        return self.folder / "data"

    def start(self) -> None:
        """Start the broker and wait until it takes requests."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.properties.write_text(self._properties())
        if not (self.data / "meta.properties").exists():
            self._format()
        self.child.start()
        if not until(self.answers, lambda: not self.child.alive, START_SECONDS):
            self.child.kill()
            raise Unavailable(
                f"Kafka did not start within {START_SECONDS} s (exit status {self.child.status}): "
                f"{' | '.join(self.child.log_tail(3))}; see {self.child.log}"
            )

    def answers(self) -> bool:
        """Whether the broker takes requests; it does so only once it has joined its cluster."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=5) as connection:
                connection.sendall(API_VERSIONS_REQUEST)
                return len(connection.recv(4)) == 4
        except OSError:
            return False

    def stop(self) -> None:
        """End the broker in good order; what it holds is kept."""
        self.child.end(STOP_SECONDS, signal.SIGTERM)

    def kill(self) -> None:
        """Kill (-9) the broker, as a fault does. `start` brings it back on the same port with the same data."""
        self.child.kill()

    def _format(self) -> None:
        """Write the identity of a new cluster, as the broker wants it once before its first start."""
        shutil.rmtree(self.data, ignore_errors=True)  # a format that was killed half way
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [
            *self._java,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster}",
            "-c",
            str(self.properties),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"Kafka's data folder {self.data} cannot be made: {(done.stderr or done.stdout).strip()}")

    def _properties(self) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": self.data,
            "num.partitions": self.partitions,
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # A replayed event is years old by its own time, and a stack may rest for months between two runs.
            "log.retention.ms": -1,
            "offsets.retention.minutes": 60 * 24 * 365,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())
