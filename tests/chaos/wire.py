"""A minimal Valkey client for the programs that run in pods; it needs nothing but Python's standard library."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

PORT = 6379
DIAL_SECONDS = 0.25
"""Timeout of a connection and its login; a client that is cut off tries again this often."""
TIMEOUT_SECONDS = 0.5
"""Timeout of an answer."""
CLOSED = "closed"
LOCKED_OUT = frozenset({"WRONGPASS", "NOAUTH", "NOPERM"})
"""Errors that tell a client that it may not log in, or may not do what consumers may."""


class Refused(Exception):
    """The server answered with an error; the first word says which."""


class Connection:
    """A connection that has logged in."""

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
        """Send all commands at once, and return the answer to each.

        Raises:
            OSError: The connection is broken.
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


def mounted_password() -> str:
    """Read the consumers' password from the mounted connection Secret, whose file kubelet updates."""
    return Path(os.environ["PASSWORD_FILE"]).read_text()


def encoded(command: Sequence[str]) -> bytes:
    """Encode a command in Valkey's protocol (RESP, an array of bulk strings)."""
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def kind_of(error: Exception) -> str:
    """Name the kind of an error: Valkey's error code, or what happened to the connection."""
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


def print_json(content: dict[str, object]) -> None:
    """Print a line of JSON at once."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
