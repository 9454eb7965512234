from __future__ import annotations

import pytest

from webhook.messages import MAX_HEAD_BYTES, Expectation, Message, Reader, Refusal, Request, Response, render

MAX_BODY = 100
HEAD = b"POST /mutate/consumers?timeout=5s HTTP/1.1\r\nHost: a\r\n"
TYPED = HEAD + b"Content-Type: Application/JSON; charset=utf-8\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DATE = "Sat, 28 Nov 2026 09:00:00 GMT"


def read(data: bytes) -> list[Message]:
    return Reader(MAX_BODY).feed(data)


def refusal(data: bytes) -> Refusal:
    *_, last = read(data)
    assert isinstance(last, Refusal), last
    return last


def test_reads_a_request_with_what_decisions_about_it_need() -> None:
    (request,) = read(TYPED + b"Content-Length: 2\r\n\r\n{}")
    assert request == Request(
        "POST", "/mutate/consumers", "application/json", is_encoded=False, keeps_alive=True, body=b"{}"
    )


def test_puts_chunks_together() -> None:
    (request,) = read(CHUNKED + b"2\r\n{ \r\n1;name=value\r\n}\r\n0\r\n\r\n")
    assert isinstance(request, Request)
    assert request.body == b"{ }"


def test_a_request_without_length_has_no_body() -> None:
    first, second = read((HEAD + b"\r\n") * 2)
    assert isinstance(first, Request)
    assert first.body == b""
    assert first == second


@pytest.mark.parametrize(
    ("version", "field", "keeps_alive"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: keep-alive\r\n", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: x, Close\r\n", False),
        (b"1.0", b"", False),
    ],
)
def test_knows_whether_the_client_goes_on(version: bytes, field: bytes, *, keeps_alive: bool) -> None:
    (request,) = read(b"POST / HTTP/%s\r\nHost: a\r\n%s\r\n" % (version, field))
    assert isinstance(request, Request)
    assert request.keeps_alive is keeps_alive


def test_tells_of_encoded_bodies() -> None:
    (request,) = read(TYPED + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
    assert isinstance(request, Request)
    assert request.is_encoded


def test_who_expects_to_be_asked_for_the_body_is_asked_first() -> None:
    expectation, request = read(HEAD + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n{}")
    assert isinstance(expectation, Expectation)
    assert isinstance(request, Request)


def test_a_body_that_is_too_long_is_refused_before_it_comes() -> None:
    assert refusal(HEAD + b"Content-Length: 101\r\n\r\n").status == 413
    assert refusal(HEAD + b"Expect: 100-continue\r\nContent-Length: 101\r\n\r\n").status == 413
    assert read(HEAD + b"Expect: 100-continue\r\nContent-Length: 101\r\n\r\n") == [
        refusal(HEAD + b"Content-Length: 101\r\n\r\n")
    ]


def test_chunks_that_are_too_long_together_are_refused() -> None:
    assert refusal(CHUNKED + b"32\r\n%s\r\n" % (b"x" * 50) + b"33\r\n" + b"x" * 51).status == 413


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"POST /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", id="a long target"),
        pytest.param(HEAD + b"X: " + b"a" * MAX_HEAD_BYTES, id="a field that does not end"),
        pytest.param(HEAD + b"X: a\r\n" * (MAX_HEAD_BYTES // 6) + b"\r\n", id="many fields"),
        pytest.param(CHUNKED + b"1;" + b"a" * 10, id="no end of a chunk's size"),
    ],
)
def test_what_is_no_body_has_a_bound(head: bytes) -> None:
    reader = Reader(MAX_BODY)
    messages = reader.feed(head)
    while not messages:
        messages = reader.feed(b"a" * 1000)
    (only,) = messages
    assert isinstance(only, Refusal)
    assert only.status == 431


SMUGGLED = b"0\r\n\r\nPOST /validate/deletions HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED, id="both"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + SMUGGLED, id="both reversed"),
        pytest.param(HEAD + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n" + SMUGGLED, id="two lengths"),
        pytest.param(HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n" + SMUGGLED, id="a length twice"),
        pytest.param(HEAD + b"Content-Length: 5, 5\r\n\r\n" + SMUGGLED, id="a list of lengths"),
        pytest.param(HEAD + b"Content-Length: +5\r\n\r\n" + SMUGGLED, id="a sign"),
        pytest.param(HEAD + b"Content-Length: -5\r\n\r\n" + SMUGGLED, id="less than nothing"),
        pytest.param(HEAD + b"Content-Length: 0x5\r\n\r\n" + SMUGGLED, id="a hexadecimal length"),
        pytest.param(HEAD + b"Content-Length: 5_0\r\n\r\n" + SMUGGLED, id="Python's own digits"),
        pytest.param(HEAD + b"Content-Length:\r\n\r\n" + SMUGGLED, id="an empty length"),
        pytest.param(HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", id="a length that overflows"),
        pytest.param(HEAD + b"Content-Length : 5\r\n\r\n" + SMUGGLED, id="space before the colon"),
        pytest.param(HEAD + b" Content-Length: 5\r\n\r\n" + SMUGGLED, id="space before the name"),
        pytest.param(HEAD + b"X: a\r\n Content-Length: 5\r\n\r\n" + SMUGGLED, id="a folded line"),
        pytest.param(HEAD + b"Content-Length:\r\n 5\r\n\r\n" + SMUGGLED, id="a folded length"),
        pytest.param(HEAD + b"X: a\nContent-Length: 5\r\n\r\n" + SMUGGLED, id="a bare LF"),
        pytest.param(HEAD + b"X: a\rContent-Length: 5\r\n\r\n" + SMUGGLED, id="a bare CR"),
        pytest.param(HEAD + b"X: a\0b\r\n\r\n" + SMUGGLED, id="NUL in a value"),
        pytest.param(HEAD + b"X\0: a\r\n\r\n" + SMUGGLED, id="NUL in a name"),
        pytest.param(HEAD + b": a\r\n\r\n" + SMUGGLED, id="no name"),
        pytest.param(HEAD + b"no colon\r\n\r\n" + SMUGGLED, id="no colon"),
        pytest.param(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + SMUGGLED, id="another coding before"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + SMUGGLED, id="another coding behind"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + SMUGGLED, id="chunks of chunks"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED, id="twice"),
        pytest.param(HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED, id="an unknown coding"),
        pytest.param(HEAD + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED, id="no coding"),
        pytest.param(HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + SMUGGLED, id="odd space before the coding"),
        pytest.param(HEAD + b"Transfer-Encoding:\r\n\r\n" + SMUGGLED, id="an empty coding"),
        pytest.param(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED, id="chunks in HTTP/1.0"),
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
        pytest.param(HEAD + b"Host: b\r\n\r\n", id="two hosts"),
        pytest.param(b"POST / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(HEAD + b"Content-Type: a\r\nContent-Type: b\r\n\r\n", id="two types"),
        pytest.param(b"POST /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"POST / HTTP/1.2\r\nHost: a\r\n\r\n", id="HTTP/1.2"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", id="a tunnel"),
        pytest.param(HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", id="another protocol"),
        pytest.param(b"post / HTTP/1.1\r\nHost: a\r\n\r\n", id="a method in lower case"),
        pytest.param(b"POST\t/ HTTP/1.1\r\nHost: a\r\n\r\n", id="a tab"),
        pytest.param(b"POST /\xff HTTP/1.1\r\nHost: a\r\n\r\n", id="a target that is no ASCII"),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_not_read(data: bytes) -> None:
    reader = Reader(MAX_BODY)
    (only,) = reader.feed(data)
    assert isinstance(only, Refusal)
    assert only.status == 400
    assert reader.feed(HEAD + b"\r\n") == []


def test_an_unknown_expectation_is_refused() -> None:
    assert refusal(HEAD + b"Expect: nonsense\r\nContent-Length: 2\r\n\r\n{}").status == 417


def test_what_came_before_a_refusal_is_still_read() -> None:
    good = HEAD + b"Content-Length: 2\r\n\r\n{}"
    first, second = read(good + b"GARBAGE \x00\r\n\r\n" + good)
    assert isinstance(first, Request)
    assert isinstance(second, Refusal)


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    assert "secret" not in refusal(HEAD + b"X-secret\x00: secret\r\n\r\n").text


def test_writes_answers() -> None:
    assert render(Response(200, b"{}", "application/json"), DATE, is_last=False) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Date: Sat, 28 Nov 2026 09:00:00 GMT\r\n\r\n{}"
    )
    assert b"\r\nConnection: close\r\n" in render(Response.of_text(400, "no"), DATE, is_last=True)
    assert b"\r\nAllow: POST\r\n" in render(Response(405), DATE, is_last=False)
