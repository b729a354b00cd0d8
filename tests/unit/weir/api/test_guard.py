"""Which requests pass the guards: by host and origin, and by the size and the speed of a body."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weir.api.guard import BoundedBody, KnownHosts
from weir.api.limits import Allowance, Limits
from weir.api.outline import SMALL_BYTES

BODY_BYTES = 2 * SMALL_BYTES
LIMITS = Limits(body_bytes=BODY_BYTES, bodies_bytes=BODY_BYTES, body_seconds=60.0)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 200 with the length of the body."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(message.get("body", b""))})


async def ask(
    app: ASGIApp, headers: dict[str, str], parts: Sequence[bytes | None] = (b"",), method: str = "POST"
) -> tuple[int, str]:
    """Status and text of the answer. A body comes in parts; None is a client that leaves."""
    messages: list[Message] = [
        {"type": "http.disconnect"}
        if part is None
        else {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else await asyncio.Event().wait() or {}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await app({"type": "http", "method": method, "path": "/", "headers": raw}, receive, send)
    if not sent:
        return 0, ""
    body = sent[1]["body"].decode()
    return sent[0]["status"], body if sent[0]["status"] == 200 else json.loads(body)["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost", "[::1]:8321", "127.9.9.9"])
async def test_a_request_for_loopback_passes(host: str) -> None:
    assert (await ask(KnownHosts(echo), {"host": host}))[0] == 200
    assert (await ask(KnownHosts(echo), {"host": host, "origin": f"http://{host}"}))[0] == 200


@pytest.mark.parametrize(
    "host", ["", "weir.example", "10.0.0.1", "127.0.0.1.example", "localhost@evil", "[::1", "x" * 999]
)
async def test_a_request_for_another_host_is_refused(host: str) -> None:
    status, detail = await ask(KnownHosts(echo), {"host": host})
    assert status == 403
    assert "list the host in WEIR_API_ALLOWED_HOSTS" in detail
    assert len(detail) < 400


async def test_a_page_of_another_origin_is_refused_unless_it_is_listed() -> None:
    given = {"host": "127.0.0.1:1", "origin": "http://shop.example"}
    status, detail = await ask(KnownHosts(echo), given)
    assert (status, "list it in WEIR_API_ORIGINS" in detail) == (403, True)
    assert (await ask(KnownHosts(echo, origins=["http://shop.example"]), given))[0] == 200
    assert (await ask(KnownHosts(echo), given | {"origin": "http://127.0.0.1:2"}))[0] == 403  # another port


async def test_a_host_is_known_by_its_name_when_it_is_listed_and_any_is_without_a_list() -> None:
    listed = KnownHosts(echo, ["Weir.example"])
    assert [(await ask(listed, {"host": host}))[0] for host in ("weir.example:443", "WEIR.example", "127.0.0.1")] == [
        200, 200, 200,
    ]  # fmt: skip
    assert (await ask(listed, {"host": "weir.example.evil"}))[0] == 403
    assert (await ask(KnownHosts(echo, None), {"host": "10.0.0.1:8787"}))[0] == 200
    assert (await ask(KnownHosts(echo, None), {"host": "[::1"}))[0] == 403


async def test_a_body_arrives_whole_and_its_allowance_is_given_back() -> None:
    held = Allowance(BODY_BYTES)
    guard = BoundedBody(echo, LIMITS, held)
    assert await ask(guard, {}, [b"x" * SMALL_BYTES, b"x" * SMALL_BYTES]) == (200, str(BODY_BYTES))
    assert held.take(BODY_BYTES)


@pytest.mark.parametrize("announced", [str(BODY_BYTES + 1), "many", "-1"])
async def test_a_body_announced_as_too_long_is_refused(announced: str) -> None:
    held = Allowance(BODY_BYTES)
    status, detail = await ask(BoundedBody(echo, LIMITS, held), {"content-length": announced}, [b"x"])
    assert (status, f"longer than {BODY_BYTES} bytes" in detail) == (413, True)
    assert held.take(BODY_BYTES)


async def test_a_body_longer_than_announced_is_refused() -> None:
    status, _ = await ask(
        BoundedBody(echo, LIMITS, Allowance(BODY_BYTES)), {"content-length": "1"}, [b"x" * SMALL_BYTES] * 3
    )
    assert status == 413


async def test_a_large_body_waits_for_no_other_and_a_small_one_always_passes() -> None:
    held = Allowance(BODY_BYTES)
    assert held.take(BODY_BYTES)  # by others
    guard = BoundedBody(echo, LIMITS, held)
    status, detail = await ask(guard, {}, [b"x" * (SMALL_BYTES + 1)])
    assert (status, "WEIR_API_BODIES_BYTES" in detail) == (429, True)
    assert await ask(guard, {}, [b"x" * SMALL_BYTES]) == (200, str(SMALL_BYTES))


async def test_a_body_whose_end_does_not_come_is_refused() -> None:
    held = Allowance(BODY_BYTES)

    async def silent() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    guard = BoundedBody(echo, Limits(body_seconds=0.01), held)
    await guard({"type": "http", "method": "POST", "path": "/", "headers": []}, silent, send)
    assert sent[0]["status"] == 408
    assert held.take(BODY_BYTES)


async def test_a_client_that_leaves_gets_no_answer_and_holds_nothing() -> None:
    held = Allowance(BODY_BYTES)
    assert await ask(BoundedBody(echo, LIMITS, held), {}, [b"x" * BODY_BYTES, None]) == (0, "")
    assert held.take(BODY_BYTES)


async def test_a_method_without_a_body_is_not_read() -> None:
    assert await ask(BoundedBody(echo, LIMITS, Allowance(0)), {"content-length": "many"}, method="GET") == (200, "0")
