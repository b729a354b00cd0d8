"""Tokens: created once, stored as a hash, live until they expire or are revoked."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from importance.errors import Conflict, InvalidInput, NotFound
from storage.audit import Audit, Author, Via
from storage.tokens import Role, Tokens, digest
from tests.support.storage import rows

NOW = 1_700_000_000.0
DAY = timedelta(days=1)
ANN = Author("ann", Via.CLI, "for the dashboard")


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(engine: sa.Engine, clock: Clock) -> Tokens:
    return Tokens(engine, clock)


def test_a_token_is_256_random_bits_and_only_its_hash_is_stored(tokens: Tokens, engine: sa.Engine) -> None:
    secret, token = tokens.create("dashboard", Role.VIEWER, 90 * DAY, ANN)
    assert secret.startswith("weir_")
    assert len(secret) == len("weir_") + 43  # 32 bytes in base64 without padding
    assert (token.name, token.role, token.created_by) == ("dashboard", Role.VIEWER, "ann")
    assert token.expires == datetime.fromtimestamp(NOW, UTC) + 90 * DAY
    assert tokens.by_digest() == {digest(secret): token}
    stored = rows(engine, "SELECT api_tokens::text FROM api_tokens UNION ALL SELECT audit_log::text FROM audit_log")
    assert len(stored) == 2
    assert all(secret.removeprefix("weir_") not in str(row) for row in stored)


def test_randomness_is_passed_in(engine: sa.Engine, clock: Clock) -> None:
    secret, _ = Tokens(engine, clock, lambda count: b"\xff" * count).create("a", Role.VIEWER, None, ANN)
    assert secret == "weir_" + 42 * "_" + "8"  # 256 ones: 42 digits of 6 bits, and 4 bits


def test_a_token_lives_until_it_expires_or_is_revoked(tokens: Tokens, clock: Clock) -> None:
    _, short = tokens.create("short", Role.SCORER, DAY, ANN)
    _, endless = tokens.create("endless", Role.OPERATOR, None, ANN)
    assert endless.expires is None
    clock.seconds += 86_399
    assert (short.is_live(tokens.now()), endless.is_live(tokens.now())) == (True, True)
    clock.seconds += 1
    assert (short.is_live(tokens.now()), endless.is_live(tokens.now())) == (False, True)
    assert not tokens.revoke("endless", ANN).is_live(tokens.now())
    assert [token.revoked is None for token in tokens.all()] == [True, False]


def test_a_name_is_of_one_live_token_and_free_again_once_that_is_revoked_or_expired(
    tokens: Tokens, clock: Clock
) -> None:
    tokens.create("ci", Role.SCORER, DAY, ANN)
    with pytest.raises(Conflict, match="run 'weir tokens revoke ci'"):
        tokens.create("ci", Role.VIEWER, DAY, ANN)
    tokens.revoke("ci", ANN)
    tokens.create("ci", Role.VIEWER, DAY, ANN)
    clock.seconds += 86_400
    tokens.create("ci", Role.OPERATOR, DAY, ANN)
    assert [token.role for token in tokens.all() if token.revoked is None] == [Role.OPERATOR]
    with pytest.raises(NotFound, match="weir tokens list"):
        tokens.revoke("cd", ANN)


def test_of_several_that_create_the_same_name_at_once_one_succeeds(connect: Callable[[], sa.Engine]) -> None:
    from storage import migrate

    engines = [connect() for _ in range(4)]
    migrate.upgrade(engines[0])

    def create(engine: sa.Engine) -> bool:
        try:
            Tokens(engine).create("ci", Role.VIEWER, None, ANN)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(len(engines)) as threads:
        assert sum(threads.map(create, engines)) == 1
    assert len(Audit(engines[0]).entries(limit=9)) == 1


def test_tokens_that_ended_long_ago_are_not_read_and_the_newest_is_in_any_case(tokens: Tokens, clock: Clock) -> None:
    tokens.create("short", Role.VIEWER, DAY, ANN)
    tokens.create("revoked", Role.VIEWER, None, ANN)
    tokens.revoke("revoked", ANN)
    tokens.create("endless", Role.VIEWER, None, ANN)
    tokens.create("last", Role.VIEWER, DAY, ANN)

    def names() -> set[str]:
        return {token.name for token in tokens.by_digest().values()}

    assert names() == {"short", "revoked", "endless", "last"}
    clock.seconds += 86_400 * 30
    assert names() == {"short", "endless", "last"}
    clock.seconds += 86_400
    assert names() == {"endless", "last"}
    tokens.revoke("endless", ANN)
    clock.seconds += 86_400 * 31
    assert names() == {"last"}


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "ä", "a" * 65, "a\n", "a\0"])
def test_a_name_is_a_short_word(tokens: Tokens, name: str) -> None:
    with pytest.raises(InvalidInput, match="the name of the token is"):
        tokens.create(name, Role.VIEWER, None, ANN)


def test_creation_and_revocation_are_in_the_audit_log(tokens: Tokens, engine: sa.Engine) -> None:
    _, token = tokens.create("dashboard", Role.VIEWER, None, ANN)
    tokens.revoke("dashboard", Author("bob", Via.CLI, "leaked"))
    revoked, created = Audit(engine).entries(limit=9)
    assert (created.actor, created.action, created.target) == ("ann", "tokens.create", "dashboard")
    assert created.details == {"id": token.id, "role": "viewer", "expires": None}
    assert (revoked.actor, revoked.action, revoked.reason) == ("bob", "tokens.revoke", "leaked")


def test_the_last_use_is_recorded_at_most_once_a_minute(tokens: Tokens, clock: Clock, engine: sa.Engine) -> None:
    _, token = tokens.create("a", Role.VIEWER, None, ANN)
    written = []
    for seconds in (0, 59, 2, 30, 40):
        clock.seconds += seconds
        tokens.used([token.id])
        written.append(tokens.all()[0].last_used)
    used = [None if time is None else time.timestamp() - NOW for time in written]
    assert used == [0, 0, 61, 61, 131]
