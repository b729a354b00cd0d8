"""A letter that fails again after it was redriven stays the letter of the record that failed first."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord

from stream.dead_letters import BACKFILL, ORIGIN, DeadLetter, is_backfill


def received(offset: int, headers: Any = (), topic: str = "interactions", partition: int = 3) -> ConsumerRecord:
    return ConsumerRecord(topic, partition, offset, 0, 0, b"ann", b"{", None, 3, 1, headers)


def test_a_second_failure_is_the_letter_of_the_first_record_with_its_own_reason() -> None:
    first = DeadLetter.of(received(17, (("trace", b"7"),)), "not_json", "")
    second = DeadLetter.of(received(40, first.redriven_headers, partition=1), "late", "")
    third = DeadLetter.of(received(90, second.redriven_headers, partition=2), "late", "")
    assert first.source == second.source == third.source == ("interactions", 3, 17)
    assert third.reason == "late"
    assert [name for name, _ in third.redriven_headers] == ["trace", BACKFILL, ORIGIN]


def test_what_is_redriven_is_late_on_purpose() -> None:
    letter = DeadLetter.of(received(17), "late", "")
    assert not is_backfill(letter.received_headers)
    assert is_backfill(letter.redriven_headers)


@pytest.mark.parametrize("origin", [b"", b"interactions:3", b"other:3:17", b"interactions:-1:17", b"\xff:1:1", None])
def test_a_header_that_is_not_ours_leads_nowhere(origin: bytes | None) -> None:
    assert DeadLetter.of(received(40, ((ORIGIN, origin),)), "late", "").source == ("interactions", 3, 40)
