"""A dead letter's headers: why, and from where."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.dead_letters import DeadLetter

names = st.text(max_size=20).filter(lambda name: not name.startswith("weir-"))
letters = st.builds(
    DeadLetter,
    reason=st.text(),
    topic=st.text(),
    partition=st.integers(0),
    offset=st.integers(0),
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    received_headers=st.lists(st.tuples(names, st.none() | st.binary())).map(tuple),
    detail=st.text(),
)


@given(letters)
def test_a_letter_is_read_back_as_it_was_written(letter: DeadLetter) -> None:
    assert DeadLetter.parse(letter.key, letter.value, letter.headers) == letter


def test_our_headers_replace_ones_of_the_same_name() -> None:
    letter = DeadLetter("not_json", "interactions", 1, 2, None, b"{", (("weir-reason", b"forged"), ("trace", b"7")))
    assert dict(letter.headers)["weir-reason"] == b"not_json"
    assert len(letter.headers) == 6
    parsed = DeadLetter.parse(None, b"{", letter.headers)
    assert parsed == dataclasses.replace(letter, received_headers=(("trace", b"7"),))


@pytest.mark.parametrize("name", ["weir-partition", "weir-offset", "weir-reason"])
def test_a_record_with_headers_that_somebody_else_wrote_is_no_letter(name: str) -> None:
    headers = dict(DeadLetter("not_json", "interactions", 1, 2, None, b"{").headers)
    assert DeadLetter.parse(None, b"{", (headers | {name: b"one \xff"}).items()) is None


def test_a_letter_of_an_earlier_version_has_no_detail_and_is_read() -> None:
    headers = dict(DeadLetter("not_json", "interactions", 1, 2, None, b"{", detail="truncated").headers)
    del headers["weir-detail"]
    parsed = DeadLetter.parse(None, b"{", headers.items())
    assert parsed is not None
    assert parsed.detail == ""


def test_a_record_without_our_headers_is_no_letter() -> None:
    assert DeadLetter.parse(b"k", b"v", [("trace", b"7")]) is None


@pytest.mark.parametrize(("key", "subject"), [(b"ann", "ann"), (None, None), (b"\xff", None)])
def test_a_letter_is_of_the_subject_that_its_record_is_keyed_by(key: bytes | None, subject: str | None) -> None:
    assert DeadLetter("not_json", "interactions", 1, 2, key, b"{").subject == subject
