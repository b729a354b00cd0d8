"""Topics of a test's own on the session's broker, and what is in them."""

import secrets

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from stream.replay import Target

PARTITIONS = 3


def make_topic(bootstrap: str, name: str = "", partitions: int = PARTITIONS, **config: str) -> str:
    """A new topic; ``config`` has underscores for dots."""
    name = name or f"replay-{secrets.token_hex(4)}"
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    wanted = {
        "num_partitions": partitions,
        "replication_factor": 1,
        "configs": {k.replace("_", "."): v for k, v in config.items()},
    }
    admin.create_topics({name: wanted})
    admin.wait_for_topics([name])
    admin.close()
    return name


def content(target: Target, partitions: int = PARTITIONS) -> dict[int, list]:
    """Every record of the topic, by partition."""
    consumer = KafkaConsumer(bootstrap_servers=target.connection.bootstrap, enable_auto_commit=False)
    parts = [TopicPartition(target.topic, number) for number in range(partitions)]
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    ends = consumer.end_offsets(parts)
    found: dict[int, list] = {number: [] for number in range(partitions)}
    while any(consumer.position(part) < ends[part] for part in parts):
        for part, records in consumer.poll(timeout_ms=1_000).items():
            found[part.partition].extend(records)
    consumer.close()
    return found
