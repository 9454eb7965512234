"""Replies are the same however the bytes come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.resp import Refusal, Replies, packed

LINE = st.text(st.characters(codec="ascii", exclude_categories=["C"]))
REPLIES = st.recursive(
    st.none() | st.integers() | st.text() | LINE.map(Refusal), lambda items: st.lists(items, max_size=4), max_leaves=8
)


def written(reply: Any) -> bytes:
    match reply:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case Refusal(text):
            return b"-%b\r\n" % text.encode()
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(written, reply))
    content: bytes = reply.encode()
    return b"$%d\r\n%b\r\n" % (len(content), content)


def read(*chunks: bytes) -> list[Any]:
    replies = Replies()
    for chunk in chunks:
        replies.feed(chunk)
    return [replies.take() for _ in range(len(replies))]


@given(st.lists(REPLIES, max_size=4), st.integers(1, 40))
def test_replies_are_read_whatever_the_pieces_are(replies: list[Any], size: int) -> None:
    data = b"".join(map(written, replies))
    assert read(*(data[start : start + size] for start in range(0, len(data), size))) == replies


def test_a_status_is_a_text_and_a_list_may_be_none() -> None:
    assert read(b"+OK\r\n*-1\r\n") == ["OK", None]


def test_a_refusal_tells_its_kind() -> None:
    (refusal,) = read(b"-WRONGPASS invalid username-password pair\r\n")
    assert refusal.kind == "WRONGPASS"


def test_what_is_no_protocol_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="no RESP2"):
        read(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_command_is_a_list_of_texts_and_its_name_may_be_two() -> None:
    assert read(packed([("CONFIG SET", "primaryauth", "p ä"), ("PING",)])) == [
        ["CONFIG", "SET", "primaryauth", "p ä"],
        ["PING"],
    ]
