from __future__ import annotations

import asyncio

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from tests.support.clients import Transport
from webhook.http import bodies, metrics
from webhook.http.answers import Answer
from webhook.http.bodies import Bodies
from webhook.http.heads import MAX_BODY_BYTES

BOUND = 100


class Unpaused(BaseProtocol):
    """A connection that never pauses reading."""

    def pause_reading(self) -> None:
        pass

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's own
        pass


class Client:
    """A client that sends one body."""

    def __init__(self, reader: Bodies, seconds: float = 60) -> None:
        loop = asyncio.get_running_loop()
        protocol = Unpaused(loop)
        protocol.transport = Transport()
        self.content = StreamReader(protocol, 2**16, loop=loop)
        self.reading = asyncio.create_task(reader.read(self.content, loop.time() + seconds))

    async def send(self, data: bytes) -> None:
        self.content.feed_data(data)
        for _ in range(3):
            await asyncio.sleep(0)

    async def finish(self) -> bytes | Answer:
        self.content.feed_eof()
        return await self.reading


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Bodies:
    monkeypatch.setattr(bodies, "MAX_HELD_BYTES", BOUND)
    return Bodies()


async def test_a_body_is_put_together(reader: Bodies) -> None:
    client = Client(reader)
    await client.send(b"a")
    await client.send(b"b")
    assert reader.held_bytes == 2
    assert await client.finish() == b"ab"
    assert reader.held_bytes == 0


async def test_the_longest_running_body_is_given_up_when_all_together_hold_too_much(reader: Bodies) -> None:
    before = metrics.CLIENTS_CUT_OFF.labels("bodies")._value.get()
    clients = [Client(reader) for _ in range(3)]
    for client in clients:
        await client.send(b"a" * (BOUND // 2))
    refusal = await clients[0].reading
    assert isinstance(refusal, Answer)
    assert refusal.status == 503
    assert metrics.CLIENTS_CUT_OFF.labels("bodies")._value.get() > before
    assert reader.held_bytes == BOUND
    assert [await client.finish() for client in clients[1:]] == [b"a" * (BOUND // 2)] * 2
    assert reader.held_bytes == 0


async def test_a_body_that_ends_just_as_it_is_given_up_does_not_count_as_whole(
    reader: Bodies,
) -> None:
    first, second = Client(reader), Client(reader)
    await first.send(b"a" * BOUND)
    second.content.feed_data(b"b")
    await asyncio.sleep(0)
    first.content.feed_eof()
    assert isinstance(await first.reading, Answer)
    assert await second.finish() == b"b"


async def test_the_memory_of_all_bodies_is_bounded_at_every_instant(reader: Bodies) -> None:
    clients = [Client(reader) for _ in range(20)]
    await asyncio.sleep(0)
    for _ in range(10):
        for client in clients:
            client.content.feed_data(b"a" * (BOUND // 10))
            assert reader.held_bytes <= BOUND
        for _ in range(3):
            await asyncio.sleep(0)
            assert reader.held_bytes <= BOUND
    outcomes = [await client.finish() for client in clients]
    assert len([outcome for outcome in outcomes if isinstance(outcome, bytes)]) == 1
    assert reader.held_bytes == 0


async def test_a_genuine_body_gets_through_while_slow_ones_hold_all_memory(reader: Bodies) -> None:
    slow = [Client(reader) for _ in range(40)]
    for client in slow:
        await client.send(b"a" * (BOUND // 40))
    genuine = Client(reader)
    await genuine.send(b"b" * (BOUND // 2))
    assert await genuine.finish() == b"b" * (BOUND // 2)
    given_up = [client for client in slow if client.reading.done()]
    assert given_up == slow[: len(given_up)]
    assert 0 < len(given_up) < len(slow)
    for client in slow:
        await client.finish()


async def test_a_body_has_a_deadline_however_much_of_it_comes(reader: Bodies) -> None:
    client = Client(reader, seconds=0.01)
    while not client.reading.done():
        await client.send(b"")
    refusal = await client.reading
    assert isinstance(refusal, Answer)
    assert refusal.status == 408
    assert reader.held_bytes == 0


async def test_a_client_that_disconnects_holds_no_memory(reader: Bodies) -> None:
    client = Client(reader)
    await client.send(b"a")
    client.reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.reading
    assert reader.held_bytes == 0


def test_the_longest_body_fits_into_what_all_may_hold() -> None:
    assert bodies.MAX_HELD_BYTES >= 2 * MAX_BODY_BYTES
