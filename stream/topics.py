"""Topics: their names, and how they are created, checked, measured and identified.

A topic that exists is never altered silently: differences from the plan are reported, and adding partitions is a call
of its own. All functions block; they are for commands and for the start of a role.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    InvalidPartitionsError,
    KafkaError,
    NotCoordinatorError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from importance.errors import InvalidInput, NotFound, Unavailable
from stream.clients import READ_COMMITTED, admin_client, cause
from stream.connecting import require_broker
from stream.connection import KafkaConnection

_BROKER_DEFAULT_MESSAGE_BYTES = 1_048_588
_COORDINATOR_NOT_YET = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)


@dataclass(frozen=True)
class Topics:
    """The names of the four topics."""

    interactions: str = "interactions"
    dead: str = "interactions.dead"
    importance: str = "importance"
    models: str = "models"


@dataclass(frozen=True)
class TopicPlan:
    """What a topic should be; ``config`` names only what matters here, the rest is the broker's choice."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)

    def differences(self, found: "TopicPlan") -> tuple[str, ...]:
        """Return what another topic has otherwise, one line each.

        >>> TopicPlan("models", 1, 1, {"cleanup.policy": "compact"}).differences(TopicPlan("models", 2, 1))
        ('models has 2 partitions, not 1', 'models has cleanup.policy= , not compact')
        """
        lines = []
        if found.partitions != self.partitions:
            lines.append(f"{self.name} has {found.partitions} partitions, not {self.partitions}")
        if found.replication != self.replication:
            lines.append(f"{self.name} has {found.replication} replicas, not {self.replication}")
        for key, value in self.config.items():
            if found.config.get(key) != value:
                lines.append(f"{self.name} has {key}={found.config.get(key, ' ')}, not {value}")
        return tuple(lines)


@dataclass(frozen=True)
class TopicState:
    """A topic after provisioning or checking. ``id`` is None where it is missing."""

    name: str
    id: UUID | None
    created: bool
    differences: tuple[str, ...]


def planned(topics: Topics, partitions: int, replication: int) -> tuple[TopicPlan, ...]:
    """Return the four topics: three of ``partitions``, and a compacted one for the announcements of models."""
    return (
        TopicPlan(topics.interactions, partitions, replication),
        # A dead letter is the record as received and four headers more, so it may be larger than what was accepted.
        TopicPlan(topics.dead, partitions, replication, {"max.message.bytes": str(2 * _BROKER_DEFAULT_MESSAGE_BYTES)}),
        TopicPlan(topics.importance, partitions, replication),
        TopicPlan(topics.models, 1, replication, {"cleanup.policy": "compact"}),
    )


def check(connection: KafkaConnection, plans: Sequence[TopicPlan]) -> list[TopicState]:
    """Hold existing topics against the plan; nothing is changed."""
    with _admin(connection) as admin:
        return _check(admin, plans)


def provision(connection: KafkaConnection, plans: Sequence[TopicPlan]) -> list[TopicState]:
    """Make what is missing and wait until it can be used; what exists is only checked."""
    with _admin(connection) as admin:
        missing = {state.name for state in _check(admin, plans) if state.id is None}
        for plan in plans:
            if plan.name in missing:
                _create(admin, plan)
        if missing:
            admin.wait_for_topics(sorted(missing))
        states = _check(admin, plans)
    return [TopicState(state.name, state.id, state.name in missing, state.differences) for state in states]


def add_partitions(connection: KafkaConnection, topic: str, total: int) -> None:
    """Let a topic have ``total`` partitions. Keys move: a subject's later events may lie elsewhere than its earlier."""
    with _admin(connection) as admin:
        try:
            admin.create_partitions({topic: total})
        except UnknownTopicOrPartitionError as error:
            raise _no_such_topic(topic) from error
        except InvalidPartitionsError as error:
            raise InvalidInput(f"{topic} cannot have {total} partitions: give more than it has now") from error


def topic_id(connection: KafkaConnection, topic: str) -> UUID:
    """Return the UUID of the topic in the cluster; a topic that is deleted and created again has another."""
    with _admin(connection) as admin:
        return _described(admin, [topic])[topic][0]


def end_offsets(connection: KafkaConnection, topic: str) -> dict[int, int]:
    """Return partition → the offset up to which records can be read: the end, or the first open transaction."""
    with _admin(connection) as admin:
        count = _described(admin, [topic])[topic][1].partitions
        specs = {TopicPartition(topic, partition): OffsetSpec.LATEST for partition in range(count)}
        found = admin.list_partition_offsets(specs, isolation_level=READ_COMMITTED)
        return {tp.partition: at.offset for tp, at in found.items()}


@dataclass(frozen=True)
class Cleanup:
    """How a topic loses records: by ``policy``, and by age. ``retention_ms`` None: never by age."""

    policy: str
    retention_ms: int | None

    @property
    def compacts(self) -> bool:
        """Return whether a record without value removes those of its key."""
        return "compact" in self.policy


def cleanups(connection: KafkaConnection, names: Sequence[str]) -> dict[str, Cleanup]:
    """Return how each of these topics loses records; raise NotFound where one does not exist."""
    with _admin(connection) as admin:
        found = {name: plan.config for name, (_, plan) in _described(admin, names).items()}
    return {
        name: _cleanup(config.get("cleanup.policy", "delete"), int(config.get("retention.ms", -1)))
        for name, config in found.items()
    }


def _cleanup(policy: str, retention_ms: int) -> Cleanup:
    return Cleanup(policy, retention_ms if retention_ms >= 0 and "delete" in policy else None)


def delete_before(connection: KafkaConnection, topic: str, offsets: Mapping[int, int]) -> None:
    """Delete the records of each partition that lie before an offset."""
    with _admin(connection) as admin:
        admin.delete_records({TopicPartition(topic, partition): offset for partition, offset in offsets.items()})


def committed_offsets(connection: KafkaConnection, group: str, topic: str) -> dict[int, int]:
    """Return partition → the offset that the group committed; partitions without one are left out."""
    with _admin(connection) as admin:
        found = _group_offsets(admin, group)
        return {tp.partition: at.offset for tp, at in found.items() if tp.topic == topic and at.offset >= 0}


def _group_offsets(admin: KafkaAdminClient, group: str) -> Mapping[TopicPartition, Any]:
    """Ask again for a while: the first to ask a new cluster has it make the topic of offsets, which takes a moment."""
    for seconds in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2):
        try:
            return cast(Mapping[TopicPartition, Any], admin.list_group_offsets(group)[group])
        except _COORDINATOR_NOT_YET:
            time.sleep(seconds)
    return cast(Mapping[TopicPartition, Any], admin.list_group_offsets(group)[group])


@contextmanager
def _admin(connection: KafkaConnection, timeout_seconds: float = 10.0) -> Iterator[KafkaAdminClient]:
    milliseconds = int(timeout_seconds * 1000)
    require_broker(connection)
    try:
        client = admin_client(connection, bootstrap_timeout_ms=milliseconds, request_timeout_ms=milliseconds)
        try:
            yield client
        finally:
            client.close()
    except KafkaError as error:
        raise Unavailable(f"Kafka at {connection} does not do what was asked: {cause(connection, error)}") from error


def _no_such_topic(topic: str) -> NotFound:
    return NotFound(f"topic {topic} does not exist: create it with weir topics")


def _create(admin: KafkaAdminClient, plan: TopicPlan) -> None:
    wanted = {"num_partitions": plan.partitions, "replication_factor": plan.replication, "configs": dict(plan.config)}
    try:
        admin.create_topics({plan.name: wanted})
    except TopicAlreadyExistsError:
        return  # another role made it at the same moment


def _check(admin: KafkaAdminClient, plans: Sequence[TopicPlan]) -> list[TopicState]:
    there = set(admin.list_topics())
    found = _described(admin, [plan.name for plan in plans if plan.name in there])
    states = []
    for plan in plans:
        if plan.name in found:
            identity, state = found[plan.name]
            states.append(TopicState(plan.name, identity, created=False, differences=plan.differences(state)))
        else:
            states.append(TopicState(plan.name, None, created=False, differences=(f"{plan.name} is missing",)))
    return states


def _described(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, tuple[UUID, TopicPlan]]:
    if not names:
        return {}
    resources = [ConfigResource("TOPIC", name) for name in names]
    configs: dict[str, Any] = admin.describe_configs(resources, config_filter="all").get("topic", {})
    found = {}
    for topic in admin.describe_topics(list(names)):
        name, partitions = topic["name"], topic["partitions"]
        if topic["error_code"] or not partitions:
            raise _no_such_topic(name)
        config = {key: entry["value"] for key, entry in configs.get(name, {}).items()}
        replication = min(len(partition["replica_nodes"]) for partition in partitions)
        found[name] = (UUID(str(topic["topic_id"])), TopicPlan(name, len(partitions), replication, config))
    return found
