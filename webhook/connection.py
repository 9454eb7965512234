"""One client: its bytes to requests, their answers to bytes, in order; how long it may take, and when it ends."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, cast

from webhook.messages import CONTINUE, Expectation, Reader, Refusal, Request, Response, render

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from webhook.messages import Message

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""The API server takes objects of up to 3 MiB, and a review of an update holds two."""
REQUEST_SECONDS: Final = 10.0
"""From a request's first byte to its last. No API server waits longer than this for our answer; a client that sends
this slowly is none."""
READING_SECONDS: Final = 10.0
"""For a client to read what it was answered."""
KEEP_ALIVE_SECONDS: Final = 300.0
"""API servers drop idle connections after 90 s. Were we first, a request could meet the closing connection. This holds
for new connections too, which API servers sometimes open and use later."""
LINGER_SECONDS: Final = 0.5
"""What comes after a refusal is read and dropped for so long: to close at once would make the system reset the
connection, and the client might never see what it was told (RFC 9112 §9.6)."""


class Host(Protocol):
    """What answers, and looks after all connections.

    Attributes:
        date: The time, as HTTP writes it.
        is_draining: Whether clients are to connect elsewhere.
    """

    date: str
    is_draining: bool

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Answer; raises nothing, and nor does what it may return to be waited for."""

    def has_come(self, connection: Connection) -> None:
        """Look after a connection."""

    def has_gone(self, connection: Connection) -> None:
        """Forget a connection."""


class Connection(asyncio.Protocol):
    """One client.

    Nothing is read while something read waits: neither does a client that sends faster than it is answered take
    memory, nor one that does not read.
    """

    _transport: asyncio.Transport

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(MAX_BODY_BYTES)
        self._waiting: deque[Message] = deque()
        self._answering: asyncio.Future[Response] | None = None
        self._deadline = math.inf
        self._is_paused = False
        self._is_unread = False
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; TLS is established."""
        self._transport = cast("asyncio.Transport", transport)
        self._host.has_come(self)
        self._allow(KEEP_ALIVE_SECONDS)

    def connection_lost(self, _error: Exception | None) -> None:
        """End; who asked no longer waits for an answer."""
        self._is_over = True
        self._waiting.clear()
        self._reader.end()
        if self._answering is not None:
            self._answering.cancel()
        self._host.has_gone(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._is_over:
            return
        was_within = self._reader.is_within
        messages = self._reader.feed(data)
        if messages:
            self._waiting.extend(messages)
            self._proceed()
        elif not (was_within or self._is_unread or self._answering):
            self._allow(REQUEST_SECONDS)

    def pause_writing(self) -> None:
        """Answer no more until the client has read."""
        self._is_unread = True
        self._allow(READING_SECONDS)

    def resume_writing(self) -> None:
        """Answer on."""
        self._is_unread = False
        self._proceed()

    def look_at_clock(self, now: float) -> None:
        """End what takes too long."""
        if now < self._deadline:
            return
        if self._is_over or self._is_unread:
            self._transport.abort()
        elif self._reader.is_within:
            self._refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, f"not whole after {REQUEST_SECONDS:.0f} s"))
        else:
            self._end(after_seconds=0)

    def leave(self) -> None:
        """Close as soon as nothing is owed to the client, which answers see to if something is."""
        if not (self._answering or self._waiting or self._reader.is_within):
            self._end(after_seconds=0)

    def abort(self) -> None:
        """Close, whatever is owed."""
        self._transport.abort()

    def _proceed(self) -> None:
        waiting = self._waiting
        while waiting and not (self._answering or self._is_unread or self._is_over):
            self._take(waiting.popleft())
        if self._is_over:
            return
        self._pause(on=bool(waiting))
        if self._answering:
            self._deadline = math.inf
        elif not self._is_unread:
            self._allow(REQUEST_SECONDS if self._reader.is_within else KEEP_ALIVE_SECONDS)

    def _take(self, message: Message) -> None:
        match message:
            case Request():
                response = self._host.respond(message)
                if isinstance(response, Response):
                    self._answer(message, response)
                else:
                    self._answering = asyncio.ensure_future(response)
                    self._answering.add_done_callback(lambda done: self._answer_late(message, done))
            case Refusal():
                self._refuse(message)
            case Expectation():
                self._transport.write(CONTINUE)

    def _answer_late(self, request: Request, done: asyncio.Future[Response]) -> None:
        self._answering = None
        if not self._is_over:
            self._answer(request, done.result())
            self._proceed()

    def _answer(self, request: Request, response: Response) -> None:
        is_last = self._host.is_draining or not request.keeps_alive
        self._transport.write(render(response, self._host.date, is_last=is_last))
        if is_last:
            has_more = self._reader.is_within or bool(self._waiting)
            self._end(after_seconds=LINGER_SECONDS if has_more else 0)

    def _refuse(self, refusal: Refusal) -> None:
        response = Response.of_text(refusal.status, refusal.text)
        self._transport.write(render(response, self._host.date, is_last=True))
        self._end(after_seconds=LINGER_SECONDS)

    def _end(self, *, after_seconds: float) -> None:
        """Close when all is written; a client that does not let us is cut off."""
        self._is_over = True
        self._waiting.clear()
        self._reader.end()
        self._pause(on=False)
        self._allow(READING_SECONDS)
        if after_seconds:
            self._loop.call_later(after_seconds, self._transport.close)
        else:
            self._transport.close()

    def _pause(self, *, on: bool) -> None:
        if on != self._is_paused:
            self._is_paused = on
            (self._transport.pause_reading if on else self._transport.resume_reading)()

    def _allow(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
