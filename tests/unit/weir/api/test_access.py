"""What is kept of tokens for how long, without a database: the store and the clock are a test's own."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from importance.errors import Unavailable
from storage.tokens import Role, Token, digest
from weir.api.access import ANYONE, KEPT_SECONDS, Access, Caller, Failures, TooManyFailures, Unauthorized

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CI = Token(1, "ci", Role.SCORER, NOW, "ann", NOW + timedelta(days=90), None, None)
HEADER = "Bearer weir_ci"


@dataclass
class Store:
    """Tokens as Postgres has them, or a Postgres that does not answer."""

    tokens: dict[bytes, Token] = field(default_factory=dict)
    queries: int = 0
    uses: list[int] = field(default_factory=list)
    unavailable: bool = False
    asked: Event = field(default_factory=Event)
    let_go: Event | None = None

    def by_digest(self) -> dict[bytes, Token]:
        self.queries += 1
        self.asked.set()
        if self.let_go is not None:
            self.let_go.wait()
        if self.unavailable:
            raise Unavailable("Postgres does not answer")
        return dict(self.tokens)

    def used(self, ids: list[int]) -> None:
        self.uses += ids

    def now(self) -> datetime:
        return NOW


@dataclass
class World:
    """Access over a store, with a clock that is moved by hand."""

    store: Store = field(default_factory=Store)
    seconds: float = 0.0
    exposed: bool = False

    def __post_init__(self) -> None:
        self.access = Access(self.store, exposed=self.exposed, failures=2, clock=lambda: self.seconds)

    async def ask(self, header: str | None = HEADER, address: str = "10.0.0.1") -> Caller:
        return await self.access.caller(header, address)


def with_ci(*, exposed: bool = False) -> World:
    return World(Store({digest("weir_ci"): CI}), exposed=exposed)


async def test_tokens_are_read_once_for_many_requests_until_they_are_too_old() -> None:
    world = with_ci()
    assert {await world.ask() for _ in range(100)} == {Caller("ci", Role.SCORER, CI)}
    assert world.store.queries == 1
    world.seconds = KEPT_SECONDS
    await asyncio.gather(*(world.ask() for _ in range(20)))
    assert world.store.queries == 2


async def test_the_first_requests_wait_for_the_first_reading() -> None:
    world, before_tokens = with_ci(), World()
    assert set(await asyncio.gather(*(world.ask() for _ in range(20)))) == {Caller("ci", Role.SCORER, CI)}
    assert set(await asyncio.gather(*(before_tokens.ask(None) for _ in range(20)))) == {ANYONE}
    assert (world.store.queries, before_tokens.store.queries) == (1, 1)


async def test_a_reading_that_is_cancelled_is_made_by_the_next_request() -> None:
    world = with_ci()
    await world.ask()
    world.seconds = KEPT_SECONDS
    world.store.tokens[digest("weir_ci")] = replace(CI, revoked=NOW)
    world.store.asked.clear()
    world.store.let_go = Event()
    left = asyncio.create_task(world.ask())
    await asyncio.to_thread(world.store.asked.wait)
    left.cancel()
    with suppress(asyncio.CancelledError):
        await left
    world.store.let_go.set()
    with pytest.raises(Unauthorized, match="the token ci was revoked"):
        await world.ask()


async def test_a_revocation_acts_within_five_seconds() -> None:
    assert KEPT_SECONDS <= 5
    world = with_ci()
    caller = await world.ask()
    world.store.tokens[digest("weir_ci")] = replace(CI, revoked=NOW)
    world.seconds = KEPT_SECONDS
    with pytest.raises(Unauthorized, match="the token ci was revoked"):
        await world.ask()
    assert not await world.access.still(caller)


async def test_a_new_token_is_found_at_once_and_guesses_cost_few_queries() -> None:
    world = with_ci()
    await world.ask()
    world.store.tokens[digest("weir_new")] = replace(CI, id=2, name="new")
    assert (await world.ask("Bearer weir_new")).name == "new"
    for _ in range(100):
        with pytest.raises((Unauthorized, TooManyFailures)):
            await world.ask("Bearer weir_wrong")
    assert world.store.queries == 3  # at first, for the new one, and for the failure that was left


async def test_before_the_first_token_all_may_ask_on_loopback_only() -> None:
    assert await World().ask(None) == ANYONE
    with pytest.raises(Unauthorized, match="it needs a token"):
        await World(exposed=True).ask(None)


@pytest.mark.parametrize("ended", [{"revoked": NOW}, {"expires": NOW}])
async def test_a_last_token_that_has_ended_opens_nothing(ended: dict[str, datetime]) -> None:
    world = World(Store({digest("weir_ci"): replace(CI, **ended)}))  # type: ignore[arg-type]
    for header in (None, HEADER):
        with pytest.raises(Unauthorized):
            await world.ask(header)
    assert not await world.access.still(ANYONE)


async def test_without_postgres_known_tokens_continue_for_a_while() -> None:
    world = with_ci()
    caller = await world.ask()
    world.store.unavailable = True
    world.seconds = KEPT_SECONDS - 0.1
    assert await world.ask() == caller
    world.seconds = KEPT_SECONDS
    for header in (HEADER, None, "Bearer weir_wrong"):
        with pytest.raises(Unavailable, match="Postgres does not answer"):
            await world.ask(header)
    assert world.store.queries == 2  # one attempt for all requests within that time
    world.store.unavailable = False
    world.seconds = 2 * KEPT_SECONDS
    assert await world.ask() == caller


async def test_without_postgres_an_open_interface_stays_open_and_an_unknown_state_is_closed() -> None:
    world = World()
    await world.ask(None)
    world.store.unavailable = True
    world.seconds = KEPT_SECONDS
    assert await world.ask(None) == ANYONE
    with pytest.raises(Unavailable):
        await World(Store(unavailable=True)).ask(None)


async def test_off_loopback_the_error_of_postgres_is_shown_to_nobody() -> None:
    with pytest.raises(Unavailable) as caught:
        await World(Store(unavailable=True), exposed=True).ask(None)
    assert str(caught.value) == "the tokens cannot be read now: try again; the log of the api has the reason"


async def test_a_use_is_recorded_once_a_minute() -> None:
    world = with_ci()
    for seconds in (0.0, 1.0, 59.0, 60.0, 61.0):
        world.seconds = seconds
        await world.ask()
    assert world.store.uses == [1, 1]


async def test_failures_of_an_address_block_its_wrong_tokens_only() -> None:
    world = with_ci()
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await world.ask("Bearer weir_wrong")
    with pytest.raises(TooManyFailures) as caught:
        await world.ask("Bearer weir_wrong")
    assert caught.value.retry_seconds == 60
    assert (await world.ask()).name == "ci"
    with pytest.raises(Unauthorized):
        await world.ask("Bearer weir_wrong", "10.0.0.2")
    world.seconds = 60.0
    with pytest.raises(Unauthorized):
        await world.ask("Bearer weir_wrong")


def test_addresses_of_ipv4_are_clients_of_their_own_on_a_socket_of_both_versions() -> None:
    failures = Failures(1, clock=lambda: 0.0)
    assert failures.add("::ffff:10.0.0.1") is None
    assert failures.add("::ffff:10.0.0.2") is None
    assert failures.add("10.0.0.1") == 60.0


def test_memory_of_failures_is_bounded() -> None:
    failures = Failures(1, clock=lambda: 0.0)
    for number in range(20_000):
        failures.add(f"10.0.{number // 256}.{number % 256}")
    assert len(failures._times) == 10_000  # nothing else shows it
    assert failures.add("10.0.0.0") is None  # the oldest is not known any more
    assert failures.add("10.0.78.31") == 60.0
