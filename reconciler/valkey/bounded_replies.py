"""Reads the replies of a server that nobody vouches for, within bounds. Pure.

The client libraries trust the server: they wait for as many bytes as a reply announces, and libvalkey makes a list of
as many elements (`*1000000000` costs 8 GB of address space, and seconds to free it). See docs/adr/0028.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Generator

MAX_BYTES: Final = 64 * 1024
"""Of all replies together. The longest that the reconciler asks for, that to HELLO, has a few hundred."""
MAX_ELEMENTS: Final = 256
"""Of one array. HELLO's has 14, and one more for each module."""
MAX_DEPTH: Final = 5
"""HELLO's array holds the array of modules, each an array itself, with an array of arguments."""

_NUMBER: Final = re.compile(rb"-?[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error that a server answers with. Its text stays out of `repr`, because servers may quote what was sent.

    Attributes:
        word: The first word, such as `READONLY`; empty if it is none in upper case.
        text: All of it.
    """

    word: str
    text: str = field(repr=False)


Reply: TypeAlias = "str | int | ErrorReply | list[Reply] | None"


class NotRedisError(Exception):
    """What comes is not Redis' protocol, or more than any reply that was asked for."""


class BoundedReplies:
    """Turns the bytes of a connection into replies (RESP2).

    Attributes:
        complete: The replies that have come so far.
    """

    def __init__(self) -> None:
        self.complete: list[Reply] = []
        self._buffer = bytearray()
        self._at = 0
        self._reading = self._replies()

    def feed(self, data: bytes) -> None:
        """Take in what has come.

        Raises:
            NotRedisError: It is malformed, or too much; nothing more can be read then.
        """
        if len(self._buffer) + len(data) > MAX_BYTES:
            raise NotRedisError("too long")
        self._buffer += data
        next(self._reading)

    def _replies(self) -> Generator[None, None, None]:
        while True:
            reply = yield from self._reply(MAX_DEPTH)
            self.complete.append(reply)

    def _reply(self, depth: int) -> Generator[None, None, Reply]:
        line = yield from self._line()
        kind, rest = line[:1], bytes(line[1:])
        match kind:
            case b"+":
                return _text(rest)
            case b"-":
                return _error(_text(rest))
            case b":":
                return _number(rest, MAX_BYTES)
            case b"$":
                return (yield from self._bulk(_number(rest, MAX_BYTES)))
            case b"*":
                return (yield from self._array(_number(rest, MAX_ELEMENTS), depth))
            case _:
                raise NotRedisError("unknown type")

    def _bulk(self, length: int) -> Generator[None, None, str | None]:
        if length < 0:
            return None
        while len(self._buffer) < self._at + length + 2:
            yield
        start, self._at = self._at, self._at + length + 2
        if self._buffer[self._at - 2 : self._at] != b"\r\n":
            raise NotRedisError("a text without its end")
        return _text(bytes(self._buffer[start : start + length]))

    def _array(self, count: int, depth: int) -> Generator[None, None, list[Reply] | None]:
        if count < 0:
            return None
        if depth == 0:
            raise NotRedisError("too deep")
        elements: list[Reply] = []
        for _ in range(count):
            elements.append((yield from self._reply(depth - 1)))  # noqa: PERF401 - no comprehension holds it
        return elements

    def _line(self) -> Generator[None, None, bytes]:
        searched = self._at
        while (end := self._buffer.find(b"\r\n", searched)) < 0:
            # The next bytes may be the second half of the line's end.
            searched = max(self._at, len(self._buffer) - 1)
            yield
        start, self._at = self._at, end + 2
        return bytes(self._buffer[start:end])


def _number(text: bytes, maximum: int) -> int:
    if not _NUMBER.fullmatch(text) or (number := int(text)) > maximum:
        raise NotRedisError("no number, or too large")
    return number


def _text(text: bytes) -> str:
    return text.decode("utf-8", errors="replace")


def _error(text: str) -> ErrorReply:
    word = text.partition(" ")[0]
    return ErrorReply(word if word.isascii() and word.isupper() else "", text)
