"""Consecutive rollbacks walk back, never forth and back."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from storage.registry import Entry, Kind, walk_back

AT = datetime(2011, 1, 3, tzinfo=UTC)


def entry(kind: Kind, to: str | None) -> Entry:
    return Entry(1, kind, None, to, "ann", "because", AT)


@given(st.lists(st.sampled_from(["promote", "rollback", "freeze"]), max_size=40), st.randoms(use_true_random=False))
def test_the_stack_is_what_was_promoted_and_not_rolled_back(moves: list[str], random: object) -> None:
    log: list[Entry] = []
    gone: set[str] = set()
    for number, move in enumerate(moves):
        stack = walk_back(log)
        if move == "promote":
            log.append(entry(Kind.PROMOTE, f"v{number}"))
            assert walk_back(log) == [*stack, f"v{number}"]
        elif move == "freeze":
            log.append(entry(Kind.FREEZE, stack[-1] if stack else None))
            assert walk_back(log) == stack
        elif len(stack) > 1:
            log.append(entry(Kind.ROLLBACK, stack[-2]))
            gone.add(stack[-1])
            assert walk_back(log) == stack[:-1]
        assert not gone & set(walk_back(log))


def test_a_version_that_is_promoted_a_second_time_stands_in_the_stack_twice() -> None:
    log = [entry(Kind.PROMOTE, version) for version in ("v1", "v2", "v1")]
    assert walk_back(log) == ["v1", "v2", "v1"]
    assert walk_back([*log, entry(Kind.ROLLBACK, "v2")]) == ["v1", "v2"]
