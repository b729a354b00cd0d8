"""The names of the topics."""

import pytest

from stream.topics import Topics
from weir import settings
from weir.settings.topics import named_topics


def test_a_topic_has_the_prefix_unless_its_name_is_given_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_TOPIC_PREFIX", "shop-b.")
    monkeypatch.setenv("WEIR_TOPIC_INTERACTIONS", "clickstream")
    names = named_topics(settings.read())
    assert names == Topics("clickstream", "shop-b.interactions.dead", "shop-b.importance", "shop-b.models")
    monkeypatch.delenv("WEIR_TOPIC_PREFIX")
    monkeypatch.delenv("WEIR_TOPIC_INTERACTIONS")
    assert named_topics(settings.read()) == Topics()
