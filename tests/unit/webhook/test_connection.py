"""One client of the webhook, without a network: what is written when, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from webhook.connection import KEEP_ALIVE_SECONDS, LINGER_SECONDS, READING_SECONDS, REQUEST_SECONDS, Connection
from webhook.messages import CONTINUE, Request, Response

HEAD = b"POST /%d HTTP/1.1\r\nHost: a\r\n"
CLOSE = b"\r\nConnection: close\r\n"


def post(number: int) -> bytes:
    return HEAD % number + b"Content-Length: 2\r\n\r\n{}"


class Host:
    """Answers each request with its path: at once, or, if that begins with /9, when told to."""

    def __init__(self) -> None:
        self.date = "Sat, 28 Nov 2026 09:00:00 GMT"
        self.is_draining = False
        self.connections: set[Connection] = set()
        self.asked: list[str] = []
        self.late: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        self.asked.append(request.path)
        return self.late if request.path.startswith("/9") else Response.of_text(200, request.path)

    def has_come(self, connection: Connection) -> None:
        self.connections.add(connection)

    def has_gone(self, connection: Connection) -> None:
        self.connections.discard(connection)


class Transport(asyncio.Transport):
    """Keeps what is written; a client that does not read lets it pile up after the first answer."""

    def __init__(self, *, is_read: bool = True) -> None:
        super().__init__()
        self.connection: Connection | None = None
        self.written: list[bytes] = []
        self.is_asking = True
        self.state = "open"
        self.closed = asyncio.Event()
        self._is_read = is_read

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert self.state == "open"
        self.written.append(bytes(data))
        if not self._is_read and self.connection:
            self.connection.pause_writing()

    def pause_reading(self) -> None:
        assert self.is_asking
        self.is_asking = False

    def resume_reading(self) -> None:
        assert not self.is_asking
        self.is_asking = True

    def close(self) -> None:
        self.state = "closed"
        self.closed.set()

    def abort(self) -> None:
        self.state = "aborted"

    @property
    def answers(self) -> list[bytes]:
        return [answer.rpartition(b"\r\n\r\n")[2].strip() for answer in self.written]


class Stage:
    def __init__(self, *, is_read: bool = True) -> None:
        self.host = Host()
        self.transport = Transport(is_read=is_read)
        self.connection = self.transport.connection = Connection(self.host)
        self.connection.connection_made(self.transport)

    def hear(self, data: bytes) -> None:
        self.connection.data_received(data)

    def pass_time(self, seconds: float) -> None:
        self.connection.look_at_clock(asyncio.get_running_loop().time() + seconds)

    async def answer_late(self) -> None:
        self.host.late.set_result(Response.of_text(200, "late"))
        await asyncio.sleep(0)


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_each_answer_is_written_at_once_and_in_one_piece(stage: Stage) -> None:
    stage.hear(post(1) + post(2))
    assert stage.transport.answers == [b"/1", b"/2"]
    assert not any(CLOSE in answer for answer in stage.transport.written)
    assert stage.transport.state == "open"


async def test_what_comes_later_waits_for_an_answer_that_takes_time(stage: Stage) -> None:
    stage.hear(post(9) + post(1))
    assert stage.transport.answers == []
    assert not stage.transport.is_asking
    await stage.answer_late()
    assert stage.transport.answers == [b"late", b"/1"]
    assert stage.transport.is_asking


async def test_an_answer_may_take_as_long_as_it_takes(stage: Stage) -> None:
    stage.hear(post(9))
    stage.pass_time(10 * KEEP_ALIVE_SECONDS)
    await stage.answer_late()
    assert stage.transport.answers == [b"late"]
    stage.pass_time(REQUEST_SECONDS)
    assert stage.transport.state == "open"


async def test_nobody_is_left_to_answer_when_the_client_has_gone(stage: Stage) -> None:
    stage.hear(post(9) + post(1))
    stage.connection.connection_lost(None)
    await asyncio.sleep(0)
    assert stage.host.late.cancelled()
    assert stage.transport.answers == []
    assert stage.host.asked == ["/9"]
    assert not stage.host.connections


async def test_the_body_is_asked_for_in_its_turn(stage: Stage) -> None:
    stage.hear(post(9) + HEAD % 1 + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert stage.transport.written == []
    await stage.answer_late()
    assert stage.transport.written[1:] == [CONTINUE]
    stage.hear(b"{}")
    assert stage.transport.answers[2:] == [b"/1"]


@pytest.mark.parametrize("last", [HEAD % 1 + b"Connection: close\r\n\r\n", b"POST /1 HTTP/1.0\r\n\r\n"])
async def test_closes_after_the_last_answer(stage: Stage, last: bytes) -> None:
    stage.hear(last)
    assert stage.transport.answers == [b"/1"]
    assert CLOSE in stage.transport.written[0]
    assert stage.transport.state == "closed"


async def test_draining_asks_clients_to_go_elsewhere(stage: Stage) -> None:
    stage.host.is_draining = True
    stage.hear(post(1) + post(2))
    assert stage.transport.answers == [b"/1"]
    assert CLOSE in stage.transport.written[0]


async def test_leaves_at_once_when_nothing_is_owed(stage: Stage) -> None:
    stage.connection.leave()
    assert stage.transport.state == "closed"


@pytest.mark.parametrize("rest", [post(9)[-1:], post(9)[-30:]])
async def test_leaves_after_what_is_owed(stage: Stage, rest: bytes) -> None:
    stage.hear(post(9).removesuffix(rest))
    stage.connection.leave()
    assert stage.transport.state == "open"
    stage.host.is_draining = True
    stage.hear(rest)
    stage.connection.leave()
    assert stage.transport.state == "open"
    await stage.answer_late()
    assert stage.transport.answers == [b"late"]
    assert stage.transport.state == "closed"


async def test_a_refusal_is_the_last_word_and_may_be_read_before_the_end(stage: Stage) -> None:
    stage.hear(post(1) + b"GARBAGE\r\n\r\n" + post(2))
    stage.hear(post(3))
    assert [answer[:12] for answer in stage.transport.written] == [b"HTTP/1.1 200", b"HTTP/1.1 400"]
    assert stage.transport.is_asking
    assert stage.transport.state == "open"
    async with asyncio.timeout(10 * LINGER_SECONDS):
        await stage.transport.closed.wait()
    stage.pass_time(READING_SECONDS)
    assert stage.transport.state == "aborted"


@pytest.mark.parametrize("beginning", [b"P", HEAD % 1, HEAD % 1 + b"Content-Length: 2\r\n\r\n{"])
async def test_a_request_has_some_seconds_to_come(stage: Stage, beginning: bytes) -> None:
    stage.hear(post(1) + beginning[:1])
    stage.hear(beginning[1:])
    stage.pass_time(REQUEST_SECONDS - 1)
    assert len(stage.transport.written) == 1
    stage.pass_time(REQUEST_SECONDS)
    assert stage.transport.written[1].startswith(b"HTTP/1.1 408")


async def test_bytes_that_trickle_gain_no_time(stage: Stage) -> None:
    stage.hear(HEAD[:5])
    deadline = stage.connection._deadline
    for byte in (HEAD % 1)[5:]:
        stage.hear(bytes([byte]))
    assert stage.connection._deadline == deadline


async def test_an_idle_client_outlasts_an_api_servers_patience(stage: Stage) -> None:
    for _ in range(2):
        stage.pass_time(KEEP_ALIVE_SECONDS - 1)
        assert stage.transport.state == "open"
        stage.hear(post(1))
    stage.pass_time(KEEP_ALIVE_SECONDS)
    assert stage.transport.state == "closed"


async def test_a_client_that_does_not_read_is_neither_answered_nor_read_and_then_cut_off() -> None:
    stage = Stage(is_read=False)
    stage.hear(post(1) * 1000)
    assert len(stage.transport.written) == 1
    assert not stage.transport.is_asking
    stage.pass_time(READING_SECONDS - 1)
    assert stage.transport.state == "open"
    stage.pass_time(READING_SECONDS)
    assert stage.transport.state == "aborted"


async def test_a_client_that_reads_again_is_answered_again() -> None:
    stage = Stage(is_read=False)
    stage.hear(post(1) + post(2))
    stage.connection.resume_writing()
    assert stage.transport.answers == [b"/1", b"/2"]
    assert stage.transport.is_asking
