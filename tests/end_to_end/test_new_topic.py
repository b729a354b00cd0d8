"""A topic that was deleted and made again under a running worker is another one, whose offsets begin again."""

from typing import TYPE_CHECKING

from kafka import KafkaAdminClient

from importance.errors import WeirError
from storage.progress import Progresses
from stream.topics import provision, topic_id
from tests.support.traffic import START_MS, traffic
from weir.settings.topics import planned_topics

if TYPE_CHECKING:
    from tests.support.service import Service


def test_a_topic_made_again_is_read_from_its_beginning(service: "Service") -> None:
    service.send(traffic(seed=1, impressions=60))
    service.beat(START_MS + 10**9)
    service.start()
    service.until("the first topic's samples", lambda: service.decided() > 60)
    admin = KafkaAdminClient(bootstrap_servers=service.kafka)
    admin.delete_topics([service.topic])
    admin.close()

    def made_again() -> bool:
        try:
            provision(service.connection, planned_topics(service.settings))
            return topic_id(service.connection, service.topic) != service.topic_id
        except WeirError:  # the broker deletes in its own time
            return False

    service.until("the second topic", made_again)
    second = Progresses(service.engine, topic_id(service.connection, service.topic))
    service.send(traffic(seed=2, impressions=20))  # fewer offsets than the first topic had
    service.beat(START_MS + 10**9)
    service.until("its samples", lambda: sum(position.samples for position in second.positions()) >= 20)
