"""Replies are read as they come, and nothing that a server sends makes that cost more than it says."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.valkey.bounded_replies import MAX_BYTES, MAX_ELEMENTS, BoundedReplies, ErrorReply, NotRedisError

ALL = b"+OK\r\n-READONLY no\r\n:-7\r\n$5\r\nab\r\nc\r\n$-1\r\n*-1\r\n$0\r\n\r\n*2\r\n*1\r\n:1\r\n+x\r\n-oops\r\n"
READ = ["OK", ErrorReply("READONLY", "READONLY no"), -7, "ab\r\nc", None, None, "", [[1], "x"], ErrorReply("", "oops")]


def read(*pieces: bytes) -> list[object]:
    replies = BoundedReplies()
    for piece in pieces:
        replies.feed(piece)
    return list(replies.complete)


def test_each_sort_of_reply_is_read() -> None:
    assert read(ALL) == READ


@given(st.sets(st.integers(1, len(ALL) - 1)))
def test_it_does_not_matter_where_the_network_cuts(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(ALL)]
    assert read(*(ALL[start:end] for start, end in itertools.pairwise(places))) == READ


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"HTTP/1.1 400 Bad Request\r\n",
            b"SSH-2.0-x\r\n",
            b"\x15\x03\x01\r\n",
            b"\r\n",
            b"$x\r\n",
            b":1.5\r\n",
            b":\r\n",
        ),
        *(b"$99999999999\r\n", b"$65537\r\n", b"*257\r\n", b"*1000000000\r\n", b"*1\r\n" * 7, b"$1\r\nabc\r\n"),
        *(b"x" * (MAX_BYTES + 1), b"%1\r\n", b"#t\r\n"),
    ],
    ids=lambda text: repr(text[:16]),
)
def test_what_is_not_a_reply_within_bounds_ends_the_reading(text: bytes) -> None:
    with pytest.raises(NotRedisError):
        read(text)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    with suppress(NotRedisError):
        read(data)


def test_as_many_elements_as_any_server_sends_are_read() -> None:
    assert read(b"*%d\r\n" % MAX_ELEMENTS + b":1\r\n" * MAX_ELEMENTS) == [[1] * MAX_ELEMENTS]


def test_the_text_of_an_error_stays_out_of_its_repr() -> None:
    assert "secret" not in repr(ErrorReply("ERR", "ERR unknown command 'secret'"))
