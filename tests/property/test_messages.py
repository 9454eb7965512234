"""However the bytes of a client are cut, the same requests come out, and nothing that is sent makes the reader fail."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.support.hostile import not_http
from webhook.messages import Expectation, Message, Reader, Refusal, Request

MAX_BODY = 4096

bodies = st.binary(max_size=300)
fields = st.lists(
    st.sampled_from(
        [b"Content-Type: application/json", b"Accept: */*", b"Expect: 100-continue", b"Connection: keep-alive", b"X:"]
    ),
    max_size=5,
    unique=True,
)


@st.composite
def sound(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request and its body, with a length or in chunks."""
    head = b"".join(field + b"\r\n" for field in [b"POST /path HTTP/1.1", b"Host: a", *draw(fields)])
    if draw(st.booleans()):
        body = draw(bodies)
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body), body
    chunks = draw(st.lists(bodies.filter(bool), max_size=4))
    written = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % written, b"".join(chunks)


hostile = st.sampled_from([what for what in not_http() if len(what) < 10_000])
bent = st.tuples(sound(), st.integers(0, 400), st.binary(min_size=1, max_size=3)).map(
    lambda drawn: drawn[0][0][: drawn[1]] + drawn[2] + drawn[0][0][drawn[1] :]
)
anything = st.lists(sound().map(lambda drawn: drawn[0]) | hostile | bent | st.binary(max_size=50), max_size=4).map(
    b"".join
)


def cut(data: bytes, places: list[int]) -> list[Message]:
    reader, found = Reader(MAX_BODY), list[Message]()
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    for start, end in pairwise(edges):
        found += reader.feed(data[start:end])
    return found


places = st.lists(st.integers(0, 2**16), max_size=30)


@given(st.lists(sound(), max_size=5), places)
def test_requests_come_out_whole_and_in_order(sent: list[tuple[bytes, bytes]], at: list[int]) -> None:
    found = [message for message in cut(b"".join(data for data, _ in sent), at) if not isinstance(message, Expectation)]
    assert [message.body for message in found if isinstance(message, Request)] == [body for _, body in sent]
    assert len(found) == len(sent)


def of(messages: list[Message]) -> list[object]:
    """What they come to; where a reader notices may change its words."""
    return [message.status if isinstance(message, Refusal) else message for message in messages]


@given(anything, places)
def test_what_is_cut_differently_is_read_alike(data: bytes, at: list[int]) -> None:
    assert of(cut(data, at)) == of(cut(data, []))
    assert of(cut(data, list(range(len(data))))) == of(cut(data, []))


@given(anything)
def test_nothing_comes_after_a_refusal(data: bytes) -> None:
    found = cut(data, [])
    assert not any(isinstance(message, Refusal) for message in found[:-1])
