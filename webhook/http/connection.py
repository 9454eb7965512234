"""The connection of one client: how long the client may take to send and to read, and when the connection closes."""

from __future__ import annotations

import functools
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import LineTooLong

from webhook.http import metrics
from webhook.http.answers import Answer
from webhook.http.bodies import REQUEST_SECONDS, TOO_SLOW

if TYPE_CHECKING:
    import asyncio

READING_SECONDS: Final = 10.0
"""Time that a client has to read an answer."""
KEEP_ALIVE_SECONDS: Final = 300.0
"""API servers close idle connections after 90 s. If the webhook closed them first, a request could meet the closing
connection. New connections stay open as long, because API servers sometimes open one and use it later."""
MAX_LINE_BYTES: Final = 8190
"""Longest request line, and longest header field: an API server's token may take some thousand bytes."""
MAX_FIELDS: Final = 32
"""Most header fields of a request; an API server sends seven."""
READ_AHEAD_BYTES: Final = 64 * 1024
"""While nobody reads a body, aiohttp buffers up to twice this much of it, and then stops reading the connection."""

_TOO_LONG: Final = Answer.of_text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a line of the head is too long")
_NOT_UNDERSTOOD: Final = Answer.of_text(HTTPStatus.BAD_REQUEST, "malformed or ambiguous HTTP")


class _Written(web.StreamResponse):
    """Tells aiohttp that an answer has been written, and whether the connection stays open."""

    def __init__(self, *, stays: bool) -> None:
        super().__init__()
        self._eof_sent, self._keep_alive = True, stays


_STAYS: Final = _Written(stays=True)
_CLOSES: Final = _Written(stays=False)


class Connection(web.RequestHandler):
    """The connection of one client; aiohttp reads and parses what the client sends.

    Attributes:
        peer: The client's address.
        idle_since: When the client connected, or got its last answer, by the event loop's clock.
        has_sent_request: Whether the client has ever sent a complete request that was answered.
        awaits_answer: Whether the client has sent a complete request that is not answered yet.
    """

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop, peer: str = "") -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            access_log=cast("Any", None),
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_FIELDS,
            # Closing TLS takes up to some seconds, and drops what the client still sends after a refusal.
            lingering_time=0,
            read_bufsize=READ_AHEAD_BYTES,
            # A few compressed kilobytes could expand to gigabytes.
            auto_decompress=False,
        )
        self.peer = peer
        self.idle_since = loop.time()
        self.has_sent_request = self.awaits_answer = False
        self._socket: asyncio.Transport | None = None
        self._request_began: float | None = None
        self._unread_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport: TLS is established."""
        self._socket = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent; a request's time runs from its first byte."""
        if data and self._request_began is None:
            self._request_began = self._loop.time()
        super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's own
        """Resume reading only if it is paused: aiohttp calls this after each piece of a body, paused or not."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        """Pause answers, and note since when the client reads too slowly."""
        super().pause_writing()
        self._unread_since = self._loop.time()

    def resume_writing(self) -> None:
        """Resume answers: the client has read."""
        super().resume_writing()
        self._unread_since = None

    def head_received(self) -> float:
        """Note that a request's head is complete; return the deadline for its body, by the event loop's clock."""
        if self._request_began is None:
            self._request_began = self._loop.time()
        return self._request_began + REQUEST_SECONDS

    def body_received(self) -> None:
        """Note that a request is complete: the client awaits an answer, and what it sends now is its next request."""
        self.awaits_answer, self._request_began = True, None

    async def answer(self, request: web.BaseRequest, answer: Answer, *, must_close: bool) -> web.StreamResponse:
        """Send an answer with one write, and wait for a client that reads slowly; return what tells aiohttp so.

        aiohttp's own response would take longer: it builds its head field by field, in a dictionary that ignores case.
        """
        # The parser would take an unread body for the next request. Whether the body of a refused request has arrived
        # depends on how the network cuts it, so the connection closes unless somebody has read the body.
        stays = request.keep_alive and self.awaits_answer and not must_close
        self._write(answer, is_last=not stays)
        if self.writing_paused:
            await request.writer.drain()
        self.idle_since = self._loop.time()
        # The next request may have begun meanwhile; its time runs from now.
        self._request_began = self.idle_since if self.awaits_answer and self._request_began is not None else None
        self.has_sent_request |= self.awaits_answer
        self.awaits_answer = False
        return _STAYS if stays else _CLOSES

    def _write(self, answer: Answer, *, is_last: bool = True) -> None:
        if self.transport is not None:
            self.transport.write(answer.render(_date(int(time.time())), is_last=is_last))

    def close_if_slow(self, now: float) -> None:
        """Close the connection if the client has taken too long to send a request or to read an answer."""
        begun = None if self.awaits_answer else self._request_began
        if self._unread_since is not None and now >= self._unread_since + READING_SECONDS:
            metrics.CLIENTS_CUT_OFF.labels(metrics.CutOff.SLOW).inc()
            self.abort()
        elif begun is not None and self.transport is not None and now >= begun + REQUEST_SECONDS:
            metrics.CLIENTS_CUT_OFF.labels(metrics.CutOff.SLOW).inc()
            self._write(TOO_SLOW)
            self.force_close()

    def close_if_idle(self) -> None:
        """Close the connection, unless a request is under way; then its answer closes it."""
        if self._request_began is None and not self.awaits_answer:
            self.force_close()

    def abort(self) -> None:
        """Close the connection at once, even if the client awaits an answer."""
        if self._socket is not None:
            self._socket.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer malformed HTTP with what is wrong; never log it, and never repeat what the client sent."""
        if isinstance(exc, HttpProcessingError):
            self._write(_TOO_LONG if isinstance(exc, LineTooLong) else _NOT_UNDERSTOOD)
            return _CLOSES
        return super().handle_error(request, status, exc, message)


@functools.lru_cache(1)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
