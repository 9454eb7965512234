"""Bytes of a client in, whole requests out; answers in, bytes out. Pure.

The grammar is llhttp's (httptools), which is strict where two readings of the same bytes would let a request hide in
another one. Here stand bounds, and what llhttp leaves to its users (docs/adr/0018).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeAlias

import httptools

MAX_HEAD_BYTES: Final = 16 * 1024
"""An API server's has 300. It bounds as well what may come between two pieces of a body."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_FIELDS: Final = frozenset(
    (b"host", b"content-length", b"content-type", b"content-encoding", b"transfer-encoding", b"expect")
)
"""Header fields that are looked at; a request that has one of them twice says two things at once."""
_VERSIONS: Final = ("1.0", "1.1")
_TEXT: Final = "text/plain; charset=utf-8"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request.

    Attributes:
        method: As sent.
        path: Without its query.
        content_type: In lower case, without parameters; empty if none was sent.
        is_encoded: Whether the body is not what its type says, such as compressed.
        keeps_alive: Whether the client may ask again on this connection.
        body: As sent, put together if it came in chunks.
    """

    method: str
    path: str
    content_type: str
    is_encoded: bool
    keeps_alive: bool
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """This is no request, and what comes after it cannot be read.

    Attributes:
        status: Of HTTP.
        text: What is wrong.
    """

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """The client waits to be told that it may send its body (RFC 9110 §10.1.1)."""


Message: TypeAlias = Request | Refusal | Expectation


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        status: Of HTTP.
        body: Its content.
        content_type: Of the body.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = _TEXT

    @classmethod
    def of_text(cls, status: int, text: str) -> Response:
        """Make an answer that a person may read."""
        return cls(status, f"{text}\n".encode())


def render(response: Response, date: str, *, is_last: bool) -> bytes:
    """Write an answer, whole.

    Args:
        response: The answer.
        date: The time, as RFC 9110 §5.6.7 writes it.
        is_last: Whether the connection closes after it.
    """
    allow = "Allow: POST\r\n" if response.status == HTTPStatus.METHOD_NOT_ALLOWED else ""
    close = "Connection: close\r\n" if is_last else ""
    head = (
        f"{_STATUS_LINES[response.status]}Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\nDate: {date}\r\n{allow}{close}\r\n"
    )
    return head.encode("ascii") + response.body


class _Refused(Exception):
    """Ends the work of the parser, out of one of its calls."""


class Reader:
    """Reads what one client sends, however that is cut into pieces.

    Methods that begin with `on_` are called by the parser.

    Attributes:
        is_within: Whether a request has begun, and has not ended.
    """

    def __init__(self, max_body_bytes: int) -> None:
        self.is_within = False
        self._max_body_bytes = max_body_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._messages: list[Message] = []
        self._refusal: Refusal | None = None
        self._path = b""
        self._fields: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body: bytes | bytearray = b""
        self._has_head = False
        self._keeps_alive = False
        self._is_moving = False
        self._standing_bytes = 0

    def feed(self, data: bytes) -> list[Message]:
        """Read on, and return what is complete; after a refusal there is never anything more."""
        if self._refusal is not None:
            return []
        self._messages, self._is_moving = [], False
        try:
            self._parser.feed_data(data)
            self._standing_bytes = 0 if self._is_moving else self._standing_bytes + len(data)
            if self._standing_bytes > MAX_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too much that is no body")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, _Refused) as error:
            self._messages.append(self._refusal or Refusal(HTTPStatus.BAD_REQUEST, f"not understood: {error}"))
            self.end()
        return self._messages

    def end(self) -> None:
        """Read no more, and let go of what has come; the parser and this object hold one another."""
        self._refusal = self._refusal or Refusal(HTTPStatus.BAD_REQUEST, "ended")
        self._body, self._fields = b"", {}

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.is_within, self._has_head = True, False
        self._path, self._fields, self._head_bytes = b"", {}, 0

    def on_url(self, url: bytes) -> None:
        """Take the target of a request, or a piece of it."""
        self._path += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; one that comes after the body could not be seen by who has judged the head."""
        if self._has_head:
            self._refuse(HTTPStatus.BAD_REQUEST, "trailers are not read")
        self._count(len(name) + len(value) + len(": \r\n"))
        name = name.lower()
        if name in _FIELDS:
            if name in self._fields:
                self._refuse(HTTPStatus.BAD_REQUEST, f"{name.decode()} is there twice")
            self._fields[name] = value

    def on_headers_complete(self) -> None:
        """Judge a head, before any of its body is taken."""
        self._has_head = self._is_moving = True
        self._keeps_alive = self._parser.should_keep_alive()
        version, fields = self._parser.get_http_version(), self._fields
        if version not in _VERSIONS:
            self._refuse(HTTPStatus.BAD_REQUEST, "must be HTTP/1.1")
        if self._parser.should_upgrade():
            self._refuse(HTTPStatus.BAD_REQUEST, "nothing else is spoken here")
        if version == "1.1" and b"host" not in fields:
            self._refuse(HTTPStatus.BAD_REQUEST, "host is missing")
        coding = fields.get(b"transfer-encoding")
        if coding is not None and (version != "1.1" or coding.lower() != b"chunked"):
            self._refuse(HTTPStatus.BAD_REQUEST, "transfer-encoding must be chunked, in HTTP/1.1")
        if int(fields.get(b"content-length", b"0")) > self._max_body_bytes:
            self._refuse_size()
        if version == "1.1" and b"expect" in fields:
            if fields[b"expect"].lower() != b"100-continue":
                self._refuse(HTTPStatus.EXPECTATION_FAILED, "expect must be 100-continue")
            self._messages.append(Expectation())

    def on_body(self, piece: bytes) -> None:
        """Take a piece of a body."""
        self._is_moving = True
        # Mostly the first is all, and is not copied. Kept in a list, a million small ones would take far more room.
        if not self._body:
            self._body = piece
        elif isinstance(self._body, bytearray):
            self._body += piece
        else:
            self._body = bytearray(self._body + piece)
        if len(self._body) > self._max_body_bytes:
            self._refuse_size()

    def on_message_complete(self) -> None:
        """End a request."""
        self.is_within, self._is_moving = False, True
        fields, body = self._fields, bytes(self._body)
        self._body = b""
        request = Request(
            method=self._parser.get_method().decode("ascii"),
            path=self._path.partition(b"?")[0].decode("latin-1"),
            content_type=fields.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1"),
            is_encoded=b"content-encoding" in fields,
            keeps_alive=self._keeps_alive,
            body=body,
        )
        self._messages.append(request)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"head is longer than {MAX_HEAD_BYTES} bytes")

    def _refuse_size(self) -> None:
        text = f"body is longer than {self._max_body_bytes} bytes"
        self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._refusal = Refusal(status, text)
        raise _Refused(text)
