"""Wake a role at each announcement of a version: an outage of Kafka delays what the role finds by itself."""

import asyncio
from collections.abc import Callable
from threading import Event

from importance.errors import NotFound, Unavailable
from stream.announcements import follow
from stream.topics import topic_id
from weir.process import logs
from weir.process.background import Attempts, Background
from weir.settings import Settings
from weir.settings.connection import kafka_connection
from weir.settings.topics import named_topics

_log = logs.logger(__name__)
_STOP_POLL_SECONDS = 0.2


async def listen(settings: Settings, wake: Callable[[], object]) -> None:
    """Call ``wake`` at each announcement. While Kafka is unavailable, the role polls by itself; never ends."""
    connection, topic = kafka_connection(settings), named_topics(settings).models
    failure = ""
    while True:
        try:
            await asyncio.to_thread(topic_id, connection, topic)  # a broker may create what a consumer asks for
            if failure:
                _log.info("announcements are read again", topic=topic)
                failure = ""
            async for _ in follow(connection, topic):
                wake()
        except (Unavailable, NotFound) as error:
            if str(error) != failure:
                _log.warning("announcements are not read", topic=topic, reason=str(error))
                failure = str(error)
        await asyncio.sleep(min(settings.models_poll_seconds, settings.retry_limit_seconds))


class Listening(Background):
    """Calls ``wake`` at each announcement, from a thread, for the length of a ``with`` block."""

    def __init__(self, settings: Settings, wake: Callable[[], object]) -> None:
        self._settings = settings
        self._wake = wake
        self._attempt = Attempts("announcements of versions")
        self._ended = Event()
        super().__init__("weir-announcements", self._listen_until_ended, self._ended.set)

    def _listen_until_ended(self) -> None:
        while not self._ended.is_set():
            self._attempt(lambda: asyncio.run(self._listen()))
            self._ended.wait(self._settings.models_poll_seconds)

    async def _listen(self) -> None:
        listening = asyncio.create_task(listen(self._settings, self._wake))
        while not self._ended.is_set() and not listening.done():
            await asyncio.wait([listening], timeout=_STOP_POLL_SECONDS)
        if listening.done():
            listening.result()
        listening.cancel()
