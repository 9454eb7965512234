"""One client: how long it may take to ask and to read, and when its connection ends."""

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
from webhook.http.answers import Answer, refusal
from webhook.http.bodies import REQUEST_SECONDS, TOO_SLOW

if TYPE_CHECKING:
    import asyncio

READING_SECONDS: Final = 10.0
"""For a client to read what it was answered."""
KEEP_ALIVE_SECONDS: Final = 300.0
"""API servers drop idle connections after 90 s. Were we first, a request could meet the closing connection. This holds
for new connections too, which API servers sometimes open and use later."""
MAX_LINE_BYTES: Final = 8190
"""Of the request line, and of a header field: a token of an API server's may take some thousands."""
MAX_FIELDS: Final = 32
"""Header fields of a request; an API server sends seven."""
READ_AHEAD_BYTES: Final = 64 * 1024
"""Of a body, while nobody reads it: twice this, and then the connection is not read."""

_TOO_LONG: Final = refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a line of the head is too long")
_NOT_UNDERSTOOD: Final = refusal(HTTPStatus.BAD_REQUEST, "this is no HTTP, or can be read in two ways")


class _Written(web.StreamResponse):
    """Tells aiohttp that an answer has been written, and whether the connection stays."""

    def __init__(self, *, stays: bool) -> None:
        super().__init__()
        self._eof_sent, self._keep_alive = True, stays


_STAYS: Final = _Written(stays=True)
_CLOSES: Final = _Written(stays=False)


class Connection(web.RequestHandler):
    """One client; what it sends is read, and what it asks is answered, by aiohttp.

    Attributes:
        since: When it came, or was last answered, by the event loop's clock.
        has_asked: Whether it ever asked a whole question.
        is_owed: Whether it has asked one that is not answered yet.
    """

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            access_log=cast("Any", None),
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_FIELDS,
            # What a client still sends after a refusal is dropped while TLS is closed, for which it has some seconds.
            lingering_time=0,
            read_bufsize=READ_AHEAD_BYTES,
            # A few kilobytes could unfold into gigabytes.
            auto_decompress=False,
        )
        self.since = loop.time()
        self.has_asked = self.is_owed = False
        self._socket: asyncio.Transport | None = None
        self._begun: float | None = None
        self._unread_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; TLS is established."""
        self._socket = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Read on; the clock runs from the first byte of each request."""
        if data and self._begun is None:
            self._begun = self._loop.time()
        super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's own
        """Read on, if reading was paused: aiohttp asks for that after each piece of a body, paused or not."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        """Answer no more until the client has read."""
        super().pause_writing()
        self._unread_since = self._loop.time()

    def resume_writing(self) -> None:
        """Answer on."""
        super().resume_writing()
        self._unread_since = None

    def has_read_head(self) -> float:
        """Take note that a head is whole; until the instant that is returned, the body has to be."""
        if self._begun is None:
            self._begun = self._loop.time()
        return self._begun + REQUEST_SECONDS

    def has_read_body(self) -> None:
        """Take note that a request is whole: an answer is owed, and what comes now belongs to the next request."""
        self.is_owed, self._begun = True, None

    async def answer(self, request: web.BaseRequest, answer: Answer, *, must_close: bool) -> web.StreamResponse:
        """Answer with one write, and wait until the client has read, if it is slow to; aiohttp is given what comes out.

        aiohttp's own response would put its head together field by field, in a dictionary that ignores case.
        """
        # An unread body would be taken for the next request.
        stays = request.keep_alive and request.content.is_eof() and not (answer.is_last or must_close)
        self._write(answer, is_last=not stays)
        if self.writing_paused:
            await request.writer.drain()
        self.since = self._loop.time()
        # The next request may have begun meanwhile; it has its time from now.
        self._begun = self.since if self.is_owed and self._begun is not None else None
        self.has_asked |= self.is_owed
        self.is_owed = False
        return _STAYS if stays else _CLOSES

    def _write(self, answer: Answer, *, is_last: bool = True) -> None:
        if self.transport is not None:
            self.transport.write(answer.render(_date(int(time.time())), is_last=is_last))

    def look_at_clock(self, now: float) -> None:
        """End what takes too long."""
        begun = None if self.is_owed else self._begun
        if self._unread_since is not None and now >= self._unread_since + READING_SECONDS:
            metrics.CLIENTS_CUT_OFF.labels("slow").inc()
            self.abort()
        elif begun is not None and self.transport is not None and now >= begun + REQUEST_SECONDS:
            metrics.CLIENTS_CUT_OFF.labels("slow").inc()
            self._write(TOO_SLOW)
            self.force_close()

    def leave(self) -> None:
        """Close, unless a request is under way: its answer does."""
        if self._begun is None and not self.is_owed:
            self.force_close()

    def abort(self) -> None:
        """Close, whatever is owed."""
        if self._socket is not None:
            self._socket.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Say what is wrong, without a word in the log about what a client does, and without repeating it."""
        if isinstance(exc, HttpProcessingError):
            self._write(_TOO_LONG if isinstance(exc, LineTooLong) else _NOT_UNDERSTOOD)
            return _CLOSES
        return super().handle_error(request, status, exc, message)


@functools.lru_cache(1)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
