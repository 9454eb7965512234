"""One client of the webhook, without a network: what the server reads, when it writes, and when it closes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests.support.clients import HEAD, Stage, post, review
from webhook.http import connection as connections
from webhook.http.bodies import REQUEST_SECONDS
from webhook.http.connection import KEEP_ALIVE_SECONDS, MAX_FIELDS, MAX_LINE_BYTES, READ_AHEAD_BYTES, READING_SECONDS
from webhook.http.heads import CONTINUE, MAX_BODY_BYTES

TYPED = HEAD + b"Content-Type: application/json\r\n"
CHUNKED = TYPED + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSE = b"\r\nConnection: close\r\n"


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_each_answer_is_written_in_one_piece_and_in_order(stage: Stage) -> None:
    stage.hear(post("1") + post("2"))
    assert await stage.answers(2) == ["1", "2"]
    assert not any(CLOSE in answer for answer in stage.transport.written)
    assert stage.transport.state == "open"


async def test_an_answer_has_no_needless_headers(stage: Stage) -> None:
    stage.hear(post("1"))
    await stage.answers(1)
    head, _, body = stage.transport.written[0].partition(b"\r\n\r\n")
    fields, _, date = head.decode().partition("\r\nDate: ")
    assert fields == f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    assert abs(parsedate_to_datetime(date) - datetime.now(UTC)) < timedelta(seconds=30)


async def test_a_body_may_come_in_pieces(stage: Stage) -> None:
    for byte in post("1"):
        stage.hear(bytes([byte]))
        await asyncio.sleep(0)
    assert await stage.answers(1) == ["1"]


async def test_a_later_request_waits_for_a_slow_answer(stage: Stage) -> None:
    stage.hear(post("late") + post("1"))
    await stage.until(lambda: stage.asked == ["late"])
    assert stage.transport.written == []
    stage.may_answer.set()
    assert await stage.answers(2) == ["late", "1"]


async def test_little_is_read_ahead_while_the_client_awaits_an_answer(stage: Stage) -> None:
    stage.hear(post("late"))
    await stage.until(lambda: stage.asked == ["late"])
    body = review("1").ljust(1_000_000)
    stage.hear(TYPED + b"Content-Length: %d\r\n\r\n" % len(body))
    sent = 0
    while stage.transport.is_asked_on:
        stage.hear(body[sent : sent + 10_000])
        sent += 10_000
    assert sent <= 2 * READ_AHEAD_BYTES + 10_000
    stage.may_answer.set()
    await stage.answers(1)
    while sent < len(body):
        await stage.until(lambda: stage.transport.is_asked_on)
        stage.hear(body[sent : sent + 10_000])
        sent += 10_000
    assert await stage.answers(2) == ["late", "1"]


async def test_a_slow_decision_has_no_deadline_here(stage: Stage) -> None:
    stage.hear(post("late"))
    await stage.until(lambda: stage.asked == ["late"])
    stage.pass_time(10 * KEEP_ALIVE_SECONDS)
    stage.may_answer.set()
    assert await stage.answers(1) == ["late"]
    stage.pass_time(REQUEST_SECONDS)
    assert stage.transport.state == "open"


async def test_a_decision_is_cancelled_when_its_client_has_gone(stage: Stage) -> None:
    stage.hear(post("late") + post("1"))
    await stage.until(lambda: stage.asked == ["late"])
    stage.transport.abort()
    await stage.until(lambda: stage.cancelled == ["late"])
    assert stage.transport.written == []
    assert stage.asked == ["late"]


async def test_a_client_that_expects_100_continue_gets_it(stage: Stage) -> None:
    body = review("1")
    stage.hear(TYPED + b"Expect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    await stage.until(lambda: stage.transport.written == [CONTINUE])
    stage.hear(body)
    assert await stage.answers(2) == ["", "1"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"Expect: nonsense\r\nContent-Length: 2\r\n\r\n", 417),
        (b"Expect: 100-continue\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n", 415),
    ],
)
async def test_a_request_that_is_refused_by_its_head_gets_no_100_continue(
    stage: Stage, head: bytes, status: int
) -> None:
    stage.hear(TYPED + head)
    assert await stage.last_status() == status


@pytest.mark.parametrize(
    "last",
    [
        post("1").replace(b"Host", b"Connection: close\r\nHost"),
        post("1").replace(b"Host", b"Connection: x, Close\r\nHost"),
        post("1").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
async def test_the_server_closes_after_the_last_answer(stage: Stage, last: bytes) -> None:
    stage.hear(last)
    stage.hear(post("2"))
    assert await stage.last_status() == 200
    assert stage.asked == ["1"]
    assert CLOSE in stage.transport.written[0]


async def test_draining_tells_clients_to_close(stage: Stage) -> None:
    stage.site.is_draining = True
    stage.hear(post("1") + post("2"))
    assert await stage.last_status() == 200
    assert stage.asked == ["1"]
    assert CLOSE in stage.transport.written[0]


async def test_closes_at_once_when_no_request_is_under_way(stage: Stage) -> None:
    stage.connection.close_if_idle()
    assert stage.transport.state == "closed"


@pytest.mark.parametrize("length", [1, 30, len(post("late")) - 1])
async def test_closes_after_the_answer_under_way(stage: Stage, length: int) -> None:
    whole = post("late")
    stage.hear(whole[:-length])
    stage.connection.close_if_idle()
    await asyncio.sleep(0)
    assert stage.transport.state == "open"
    stage.site.is_draining = True
    stage.hear(whole[-length:])
    await stage.until(lambda: stage.asked == ["late"])
    stage.connection.close_if_idle()
    assert stage.transport.state == "open"
    stage.may_answer.set()
    assert await stage.last_status() == 200


@pytest.mark.parametrize("beginning", [b"P", HEAD, TYPED + b"Content-Length: 2\r\n\r\n{"])
async def test_a_request_must_arrive_within_some_seconds(
    stage: Stage, beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.hear(post("1"))
    await stage.answers(1)
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.02)
    stage.hear(beginning[:1])
    stage.hear(beginning[1:])
    while stage.transport.state == "open":
        stage.pass_time(0)
        await asyncio.sleep(0)
    assert await stage.last_status() == 408
    assert stage.asked == ["1"]


async def test_bytes_that_trickle_gain_no_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.02)
    endless = iter(TYPED + b"Content-Length: 1000000\r\n\r\n" + b" " * 1_000_000)
    while stage.transport.state == "open":
        stage.hear(bytes([next(endless)]))
        stage.pass_time(0)
        await asyncio.sleep(0)
    assert await stage.last_status() == 408


async def test_the_time_of_a_request_sent_early_begins_with_the_previous_answer(stage: Stage) -> None:
    stage.hear(post("late"))
    await stage.until(lambda: stage.asked == ["late"])
    stage.hear(b"POST")
    stage.pass_time(10 * REQUEST_SECONDS)
    assert stage.transport.state == "open"
    stage.may_answer.set()
    await stage.answers(1)
    stage.pass_time(REQUEST_SECONDS - 1)
    assert stage.transport.state == "open"
    stage.pass_time(REQUEST_SECONDS)
    assert await stage.last_status() == 408


async def test_an_idle_connection_outlasts_an_api_servers_time_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.hear(post("1"))
    await stage.answers(1)
    stage.pass_time(KEEP_ALIVE_SECONDS)
    assert stage.transport.state == "open"
    assert stage.connection.keepalive_timeout == KEEP_ALIVE_SECONDS > 90
    monkeypatch.setattr(connections, "KEEP_ALIVE_SECONDS", 0.01)
    idle = Stage()
    await idle.until(lambda: idle.transport.state == "closed")
    assert idle.transport.written == []


async def test_a_client_that_does_not_read_gets_no_further_answers_and_is_cut_off() -> None:
    stage = Stage(is_read=False)
    while stage.transport.is_asked_on:
        stage.hear(post("1") * 100)
        await asyncio.sleep(0)
    await stage.answers(1)
    assert stage.asked == ["1"]
    stage.pass_time(READING_SECONDS - 1)
    assert stage.transport.state == "open"
    stage.pass_time(READING_SECONDS)
    assert stage.transport.state == "aborted"


async def test_a_client_that_reads_again_is_answered_again() -> None:
    stage = Stage(is_read=False)
    stage.hear(post("1") + post("2"))
    await stage.answers(1)
    stage.transport.read()
    assert await stage.answers(2) == ["1", "2"]


async def test_requests_before_a_refused_one_are_answered_and_none_after_it(stage: Stage) -> None:
    stage.hear(post("1"))
    await stage.answers(1)
    stage.hear(b"GARBAGE \x00\r\n\r\n" + post("2"))
    stage.hear(post("3"))
    assert await stage.last_status() == 400
    assert stage.asked == ["1"]


async def test_a_refusal_does_not_repeat_what_was_sent(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.hear(HEAD + b"X-secret\x00: secret\r\n\r\n")
    assert await stage.last_status() == 400
    assert b"secret" not in stage.transport.written[0]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"POST /" + b"a" * MAX_LINE_BYTES + b" HTTP/1.1\r\n", 431, id="a long target"),
        pytest.param(HEAD + b"X: " + b"a" * (MAX_LINE_BYTES + 1), 431, id="a field that does not end"),
        pytest.param(HEAD + b"a" * (MAX_LINE_BYTES + 1), 431, id="a name that does not end"),
        pytest.param(HEAD + b"X: a\r\n" * (MAX_FIELDS + 1) + b"\r\n", 400, id="many fields"),
    ],
)
async def test_a_head_has_a_bound(stage: Stage, head: bytes, status: int) -> None:
    stage.hear(head)
    assert await stage.last_status() == status
    assert stage.asked == []


@pytest.mark.parametrize("endless", [b"\r\n", HEAD + b"X: " + b" " * MAX_LINE_BYTES])
async def test_endless_bytes_that_the_parser_skips_run_into_the_deadline(stage: Stage, endless: bytes) -> None:
    for _ in range(10):
        stage.hear(endless)
        endless = endless[-2:]
        await asyncio.sleep(0)
    stage.pass_time(REQUEST_SECONDS)
    assert await stage.last_status() == 408


SMUGGLED = b"0\r\n\r\n" + post("smuggled")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TYPED + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED, id="both"),
        pytest.param(TYPED + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + SMUGGLED, id="both reversed"),
        pytest.param(TYPED + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n" + SMUGGLED, id="two lengths"),
        pytest.param(TYPED + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n" + SMUGGLED, id="a length twice"),
        pytest.param(TYPED + b"Content-Length: 5, 5\r\n\r\n" + SMUGGLED, id="a list of lengths"),
        pytest.param(TYPED + b"Content-Length: +5\r\n\r\n" + SMUGGLED, id="a sign"),
        pytest.param(TYPED + b"Content-Length: -5\r\n\r\n" + SMUGGLED, id="less than nothing"),
        pytest.param(TYPED + b"Content-Length: 0x5\r\n\r\n" + SMUGGLED, id="a hexadecimal length"),
        pytest.param(TYPED + b"Content-Length: 5_0\r\n\r\n" + SMUGGLED, id="Python's own digits"),
        pytest.param(TYPED + b"Content-Length:\r\n\r\n" + SMUGGLED, id="an empty length"),
        pytest.param(TYPED + b"Content-Length: 99999999999999999999\r\n\r\n", id="a length that overflows"),
        pytest.param(TYPED + b"Content-Length : 5\r\n\r\n" + SMUGGLED, id="space before the colon"),
        pytest.param(TYPED + b" Content-Length: 5\r\n\r\n" + SMUGGLED, id="space before the name"),
        pytest.param(TYPED + b"X: a\r\n Content-Length: 5\r\n\r\n" + SMUGGLED, id="a folded line"),
        pytest.param(TYPED + b"Content-Length:\r\n 5\r\n\r\n" + SMUGGLED, id="a folded length"),
        pytest.param(TYPED + b"X: a\nContent-Length: 5\r\n\r\n" + SMUGGLED, id="a bare LF"),
        pytest.param(TYPED + b"X: a\rContent-Length: 5\r\n\r\n" + SMUGGLED, id="a bare CR"),
        pytest.param(TYPED + b"X: a\0b\r\n\r\n" + SMUGGLED, id="NUL in a value"),
        pytest.param(TYPED + b"X\0: a\r\n\r\n" + SMUGGLED, id="NUL in a name"),
        pytest.param(TYPED + b": a\r\n\r\n" + SMUGGLED, id="no name"),
        pytest.param(TYPED + b"no colon\r\n\r\n" + SMUGGLED, id="no colon"),
        pytest.param(TYPED + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + SMUGGLED, id="another coding before"),
        pytest.param(TYPED + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + SMUGGLED, id="another coding behind"),
        pytest.param(TYPED + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + SMUGGLED, id="chunks of chunks"),
        pytest.param(TYPED + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + SMUGGLED, id="twice"),
        pytest.param(TYPED + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED, id="an unknown coding"),
        pytest.param(TYPED + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED, id="no coding"),
        pytest.param(TYPED + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + SMUGGLED, id="odd space before the coding"),
        pytest.param(TYPED + b"Transfer-Encoding:\r\n\r\n" + SMUGGLED, id="an empty coding"),
        pytest.param(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED, id="chunks in HTTP/1.0"),
        pytest.param(CHUNKED + SMUGGLED, id="sound chunks"),
        pytest.param(CHUNKED + b"5\n" + SMUGGLED, id="LF after a size"),
        pytest.param(CHUNKED + b"+5\r\nhello\r\n" + SMUGGLED, id="a sign before a size"),
        pytest.param(CHUNKED + b"0x5\r\nhello\r\n" + SMUGGLED, id="a prefix before a size"),
        pytest.param(CHUNKED + b"5 \r\nhello\r\n" + SMUGGLED, id="space after a size"),
        pytest.param(CHUNKED + b"\r\nhello\r\n" + SMUGGLED, id="no size"),
        pytest.param(CHUNKED + b"10000000000000005\r\nhello\r\n" + SMUGGLED, id="a size that overflows"),
        pytest.param(CHUNKED + b"5\r\nhelloworld\r\n" + SMUGGLED, id="more than the size says"),
        pytest.param(CHUNKED + b"5\r\nhello\n" + SMUGGLED, id="LF after a chunk"),
        pytest.param(CHUNKED + b"5;a\nb\r\nhello\r\n" + SMUGGLED, id="LF in an extension"),
        pytest.param(CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n" + SMUGGLED, id="a length behind the body"),
        pytest.param(CHUNKED + b"0\r\nX: a\r\n\r\n" + SMUGGLED, id="a trailer"),
        pytest.param(TYPED + b"Host: b\r\n\r\n", id="two hosts"),
        pytest.param(b"POST / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(TYPED + b"Content-Type: a\r\n\r\n", id="two types"),
        pytest.param(b"POST /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"POST / HTTP/1.2\r\nHost: a\r\n\r\n", id="HTTP/1.2"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", id="a tunnel"),
        pytest.param(TYPED + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", id="another protocol"),
        pytest.param(TYPED + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", id="HTTP/2 in clear"),
        pytest.param(b"post / HTTP/1.1\r\nHost: a\r\n\r\n", id="a method in lower case"),
        pytest.param(b"POST\t/ HTTP/1.1\r\nHost: a\r\n\r\n", id="a tab"),
        pytest.param(b"POST /\xff HTTP/1.1\r\nHost: a\r\n\r\n", id="a target that is no ASCII"),
    ],
)  # fmt: skip
async def test_an_ambiguous_request_is_refused(data: bytes) -> None:
    for pieces in ([data], [bytes([byte]) for byte in data]):
        stage = Stage()
        for piece in pieces:
            stage.hear(piece)
            await asyncio.sleep(0)
        assert await stage.last_status() in {400, 405, 411}
        assert len(stage.transport.written) == 1
        assert stage.asked == []
