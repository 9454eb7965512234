"""Valkey's protocol, as far as a node of ours is spoken to in it (RESP2, https://valkey.io/topics/protocol/). Pure.

The client library reads each element of a reply by a coroutine of its own; of the hundred that a look at a node takes,
that made most of its cost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_END: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error reply.

    Attributes:
        text: Begins with a word that tells its kind, such as `NOAUTH`.
    """

    text: str

    @property
    def kind(self) -> str:
        """Its first word."""
        return self.text.partition(" ")[0]


def packed(commands: Iterable[tuple[str, ...]]) -> bytes:
    """Write commands as they are sent; the name of one may be two words, such as `CONFIG SET`."""
    parts = bytearray()
    for name, *arguments in commands:
        words = [*name.split(" "), *arguments]
        parts += b"*%d\r\n" % len(words)
        for word in words:
            content = word.encode()
            parts += b"$%d\r\n%b\r\n" % (len(content), content)
    return bytes(parts)


class Replies:
    """Takes bytes as they come, and gives replies: str, int, None, a list of these, or a Refusal."""

    def __init__(self) -> None:
        self._buffer = b""
        self._whole: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._whole)

    def feed(self, data: bytes) -> None:
        """Take the next bytes in.

        Raises:
            ValueError: They are no RESP2.
        """
        self._buffer += data
        start = 0
        while (found := _reply(self._buffer, start)) is not None:
            reply, start = found
            self._whole.append(reply)
        self._buffer = self._buffer[start:]

    def take(self) -> Any:
        """Give the first reply that was not given yet; IndexError if there is none."""
        return self._whole.popleft()


def _reply(data: bytes, start: int) -> tuple[Any, int] | None:
    """Read the reply that starts there; return it and where it ends, or None if it is not all there yet."""
    end = data.find(_END, start)
    if end < 0:
        return None
    kind, line, after = data[start : start + 1], data[start + 1 : end], end + 2
    match kind:
        case b"$":
            return _text(data, after, int(line))
        case b"+":
            return line.decode(), after
        case b"-":
            return Refusal(line.decode(errors="replace")), after
        case b":":
            return int(line), after
        case b"*":
            return _list(data, after, int(line))
    raise ValueError(f"no RESP2: {kind!r}")


def _text(data: bytes, start: int, length: int) -> tuple[str | None, int] | None:
    if length < 0:
        return None, start
    end = start + length
    if len(data) < end + 2:
        return None
    return data[start:end].decode(errors="replace"), end + 2


def _list(data: bytes, start: int, length: int) -> tuple[list[Any] | None, int] | None:
    if length < 0:
        return None, start
    items = list[Any]()
    for _ in range(length):
        found = _reply(data, start)
        if found is None:
            return None
        item, start = found
        items.append(item)
    return items, start
