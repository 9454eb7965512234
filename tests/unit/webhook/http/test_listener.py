"""Clients over real TLS: how many the listener admits, which ones it closes for others, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Self

import pytest
from aiohttp import web

from tests.support.serving import NAMES, serving_certificate
from webhook.http import listener as listeners
from webhook.http import metrics
from webhook.http.answers import Answer
from webhook.http.connection import Connection
from webhook.http.listener import MAX_CONNECTIONS, MAX_PER_PEER, Listener, least_useful

ROOM = 3
SOON_SECONDS = 5
REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Site:
    """A listener whose answers a test can hold back.

    Attributes:
        asked: Number of requests.
        may_answer: Holds all answers back while it is not set.
    """

    listener: Listener = field(init=False)
    context: ssl.SSLContext
    port: int = 0
    asked: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()
        self.listener = Listener(self._answer, 0.2)

    async def _answer(self, _: web.BaseRequest, connection: Connection) -> Answer:
        connection.head_received()
        connection.body_received()
        self.asked += 1
        await self.may_answer.wait()
        return Answer.of_text(200, "yes")

    @property
    def inside(self) -> int:
        """The number of admitted clients."""
        return len(self.listener._clients)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_SECONDS):
            while not condition():  # noqa: ASYNC110 - anything that the network does may bring it about
                await asyncio.sleep(0.001)

    async def open(self, *, speaks_tls: bool = True) -> Client:
        name = NAMES[0] if speaks_tls else None
        context = self.context if speaks_tls else None
        async with asyncio.timeout(SOON_SECONDS):
            return Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name))


@dataclass(eq=False)
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self) -> bytes:
        """Send a request, and return the head of the answer."""
        self.writer.write(REQUEST)
        async with asyncio.timeout(SOON_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            await self.reader.readexactly(len(b"yes\n"))
        return head

    async def hears_the_end(self) -> bool:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(SOON_SECONDS):
                return await self.reader.read() == b""
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(listeners, "MAX_CONNECTIONS", ROOM)
    monkeypatch.setattr(listeners, "PATIENCE_SECONDS", 0.3)
    certificate, trusting = serving_certificate()
    served = Site(trusting)
    async with served.listener.serving(0, certificate.context, host="127.0.0.1") as served.port:
        yield served


async def test_a_client_that_never_asked_anything_makes_room_first(site: Site) -> None:
    async with await site.open() as useful, await site.open() as silent, await site.open() as other:
        for client in (useful, other):
            assert b"Connection" not in await client.ask()
        async with await site.open() as late:
            assert b"200" in await late.ask()
            assert await silent.hears_the_end()
        assert b"200" in await useful.ask()
        assert b"200" in await other.ask()


async def test_the_client_whose_last_answer_is_oldest_makes_room_next(site: Site) -> None:
    async with await site.open() as first, await site.open() as second, await site.open() as third:
        for client in (second, first, third):
            await client.ask()
        async with await site.open() as late:
            assert b"200" in await late.ask()
            assert await second.hears_the_end()
        assert b"200" in await first.ask()
        assert b"200" in await third.ask()


async def test_clients_that_do_not_speak_tls_take_places_too_and_are_the_first_to_go(site: Site) -> None:
    async with contextlib.AsyncExitStack() as stack:
        useful = await stack.enter_async_context(await site.open())
        await useful.ask()
        plain = [await stack.enter_async_context(await site.open(speaks_tls=False)) for _ in range(ROOM + 1)]
        await site.until(lambda: site.inside == ROOM)
        async with await site.open() as late:
            assert b"200" in await late.ask()
        assert await plain[0].hears_the_end()
        assert b"200" in await useful.ask()


async def test_a_client_that_awaits_an_answer_does_not_have_to_go(site: Site) -> None:
    site.may_answer.clear()
    async with await site.open() as first, await site.open() as second, await site.open() as third:
        asking = [asyncio.create_task(client.ask()) for client in (first, second, third)]
        await site.until(lambda: site.asked == ROOM)
        late = asyncio.create_task(site.open())
        await site.until(lambda: site.listener.must_close)
        await asyncio.sleep(2 * listeners.PATIENCE_SECONDS)
        assert not late.done()
        site.may_answer.set()
        # While clients wait to be admitted, the listener closes each connection after its answer.
        assert all(b"Connection: close" in head for head in await asyncio.gather(*asking))
        async with await late as client:
            assert b"Connection" not in await client.ask()


async def test_an_address_with_too_many_connections_loses_its_least_useful_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "MAX_CONNECTIONS", 2 * ROOM)
    monkeypatch.setattr(listeners, "MAX_PER_PEER", 2)
    monkeypatch.setattr(listeners, "PATIENCE_SECONDS", 0)
    before = metrics.CLIENTS_CUT_OFF.labels("peer")._value.get()
    async with await site.open() as useful, await site.open() as silent:
        await useful.ask()
        async with await site.open() as late:
            assert b"200" in await late.ask()
            assert await silent.hears_the_end()
            assert site.inside == 2
        assert b"200" in await useful.ask()
    assert metrics.CLIENTS_CUT_OFF.labels("peer")._value.get() == before + 1


@pytest.mark.parametrize("awaits_answer", [True, False])
async def test_an_address_whose_connections_are_all_of_use_gets_no_further_one_and_delays_nobody(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    awaits_answer: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    monkeypatch.setattr(listeners, "MAX_PER_PEER", 1)
    monkeypatch.setattr(listeners, "PATIENCE_SECONDS", 0 if awaits_answer else 3600)
    site.may_answer.clear()
    async with await site.open() as first:
        asking = asyncio.create_task(first.ask()) if awaits_answer else None
        await site.until(lambda: site.asked == (1 if awaits_answer else 0))
        with pytest.raises(OSError):  # noqa: PT011 - how the end looks depends on how far the handshake got
            await site.open()
        monkeypatch.setattr(listeners, "MAX_PER_PEER", 2)
        async with await site.open() as other:
            site.may_answer.set()
            assert b"200" in await other.ask()
        assert b"200" in await (asking or first.ask())


async def test_no_room_is_kept_for_clients_that_have_gone(site: Site) -> None:
    for _ in range(3 * ROOM):
        async with await site.open() as client:
            await client.ask()
        async with await site.open(speaks_tls=False) as client:
            client.writer.write(b"no TLS")
    await site.until(lambda: site.inside == 0)
    assert not site.listener.must_close


async def test_accepting_is_tried_again_after_a_failure(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listeners, "TICK_SECONDS", 0.01)
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, iter([OSError("too many open files")])

    async def sock_accept(listening: socket.socket) -> tuple[socket.socket, object]:
        for failure in failures:
            raise failure
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", sock_accept)
    for _ in range(2):
        async with await site.open() as client:
            assert b"200" in await client.ask()
    assert [record.getMessage() for record in caplog.records] == ["no connection could be accepted"]


async def test_a_listener_that_stops_cuts_off_clients_that_do_not_leave(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.may_answer.clear()
    async with await site.open() as client, await site.open(speaks_tls=False) as plain:
        client.writer.write(REQUEST)
        await site.until(lambda: site.asked == 1)
        await site.until(lambda: site.inside == 2)
        await site.listener._close_all()
        assert await client.hears_the_end()
        assert await plain.hears_the_end()
    assert [record.getMessage() for record in caplog.records] == ["clients were cut off"]
    await site.until(lambda: site.inside == 0)


async def test_the_listener_serves_all_addresses() -> None:
    certificate, trusting = serving_certificate()
    served = Site(trusting)
    async with served.listener.serving(0, certificate.context) as served.port, await served.open() as client:
        assert b"200" in await client.ask()


async def test_idle_clients_go_before_used_ones_and_a_client_that_awaits_an_answer_stays(site: Site) -> None:
    def visitor(since: float, *, has_sent_request: bool = False, awaits_answer: bool = False) -> Connection:
        connection = Connection(site.listener, asyncio.get_running_loop())
        connection.idle_since, connection.has_sent_request, connection.awaits_answer = (
            since,
            has_sent_request,
            awaits_answer,
        )
        return connection

    busy, fresh, stale = visitor(1, awaits_answer=True), visitor(9), visitor(8)
    useful, more_useful = visitor(2, has_sent_request=True), visitor(3, has_sent_request=True)
    assert least_useful([busy]) is None
    assert least_useful([busy, more_useful, useful]) is useful
    assert least_useful([busy, useful, fresh]) is fresh
    assert least_useful([fresh, stale, useful]) is stale


def test_there_is_room_for_the_connections_of_five_api_servers() -> None:
    assert MAX_CONNECTIONS >= 5 * 25


def test_three_api_servers_may_share_an_address_and_leave_room_for_another() -> None:
    assert 3 * 25 <= MAX_PER_PEER <= MAX_CONNECTIONS - 25


async def test_a_client_that_leaves_in_the_middle_of_tls_fills_no_log_and_other_faults_are_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    closed = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    listeners.report(loop, {"message": "Fatal error on SSL protocol\nprotocol: ...", "exception": closed})
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []
    listeners.report(loop, {"message": "Task exception was never retrieved", "exception": ValueError("ours")})
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "Task exception was never retrieved"
    ]
