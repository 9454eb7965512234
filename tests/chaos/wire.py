"""Talks to a Valkey as a client does, in programs that run in pods: needs nothing but Python."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

HANDED = Path("/handed/REDIS_PASSWORD")
"""Where a pod has the connection Secret mounted; kubelet follows its changes."""
PORT = 6379
DIAL_SECONDS = 0.25
"""For a connection and the login: a client that was cut off tries so often."""
TIMEOUT_SECONDS = 0.5
"""For an answer."""
CLOSED = "closed"
LOCKED_OUT = frozenset({"WRONGPASS", "NOAUTH", "NOPERM"})
"""Answers to whoever does not get in, or not as far as consumers should."""


class Refused(Exception):
    """The server answered with an error; the first word says which."""


class Connection:
    """One login."""

    def __init__(self, address: tuple[str, int], password: str) -> None:
        self._socket = socket.create_connection(address, timeout=DIAL_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")
        try:
            self.ask(("AUTH", password))
        except (OSError, Refused):
            self.close()
            raise
        self._socket.settimeout(TIMEOUT_SECONDS)

    def ask(self, *commands: Sequence[str]) -> list[str]:
        """Send commands at once and return what is answered to each.

        Raises:
            OSError: The connection is of no use any more.
            Refused: One answer was an error.
        """
        self._socket.sendall(b"".join(map(encoded, commands)))
        return [self._answer() for _ in commands]

    def _answer(self) -> str:
        line = self._answers.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise Refused(rest.split()[0])
        if kind == b"$":
            return self._answers.read(int(rest) + 2)[:-2].decode()
        return rest

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


def handed_out() -> str:
    """Read the password that consumers are handed, as it is mounted now."""
    return HANDED.read_text()


def encoded(command: Sequence[str]) -> bytes:
    """Write a command as the protocol wants it (RESP, an array of bulk strings)."""
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def kind_of(error: Exception) -> str:
    """Name an error by what a client would make of it."""
    match error:
        case Refused():
            return str(error)
        case TimeoutError():
            return "timeout"
        case ConnectionRefusedError():
            return "refused"
        case ConnectionError():
            return CLOSED
        case _:
            return "unreachable"


def tell(said: dict[str, object]) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
