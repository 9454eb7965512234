"""Lets clients in, so many at a time, looks after their connections, and lets them go in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from webhook.http import metrics
from webhook.http.connection import Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from webhook.http.answers import Answer

MAX_CONNECTIONS: Final = 128
"""Five API servers, the most that etcd is advised for, with the 25 idle connections that each may keep to a webhook
(client-go `transport/cache.go`)."""
PATIENCE_SECONDS: Final = 0.5
"""With a client that asks nothing, while another one waits outside; an API server asks within milliseconds."""
BACKLOG: Final = 512
"""Clients that the system lets wait outside."""
HANDSHAKE_SECONDS: Final = 10.0
SHUTDOWN_SECONDS: Final = 5.0
"""For answers under way when the server stops: the webhook's own `timeoutSeconds`. It is as well what a client gets to
agree to the end of TLS, while what it still sends is dropped."""
TICK_SECONDS: Final = 1.0
"""One timer looks at all connections: one per request would cost as much as reading the request."""

_log = logging.getLogger(__name__)


class Listener(web.Server):
    """All connections, from the first packet on; aiohttp's own list leaves out those that are not established.

    Attributes:
        is_draining: Whether this process is on its way out: it serves on, but asks every client to connect elsewhere.
    """

    def __init__(self, answer: Callable[[web.BaseRequest, Connection], Awaitable[Answer]]) -> None:
        """Take what answers a request that comes on a connection."""
        super().__init__(self._respond, handler_cancellation=True)
        self.is_draining = False
        self._answer = answer
        self._is_crowded = False
        self._inside: dict[Connection, asyncio.Task[None]] = {}
        self._has_left = asyncio.Event()

    @property
    def must_close(self) -> bool:
        """Whether each connection is to close with its next answer: places are wanted, and all inside are of use."""
        return self.is_draining or self._is_crowded

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        answer = await self._answer(request, connection)
        return await connection.answer(request, answer, must_close=self.must_close)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Take note that a client has left."""
        super().connection_lost(handler, exc)
        self._forget(cast("Connection", handler))

    def _forget(self, connection: Connection) -> None:
        self._inside.pop(connection, None)
        self._has_left.set()

    @contextlib.asynccontextmanager
    async def serving(self, port: int, context: ssl.SSLContext, *, host: str = "") -> AsyncIterator[int]:
        """Serve on every address of the pod, or on one; the block is given the port.

        At its end nobody can connect any more, and answers under way are waited for.
        """
        with _listening(host, port) as listening:
            async with asyncio.TaskGroup() as group:
                letting_in = group.create_task(self._let_in(listening, context))
                ticking = group.create_task(self._tick())
                try:
                    yield listening.getsockname()[1]
                finally:
                    self.is_draining = True
                    letting_in.cancel()
                    await asyncio.wait([letting_in])
                    listening.close()
                    await self._part()
                    ticking.cancel()

    async def _let_in(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listening)
            except OSError as error:
                # Such as for want of file descriptors.
                _log.warning("no connection could be accepted", extra={"error": str(error)})
                await asyncio.sleep(TICK_SECONDS)
                continue
            try:
                await self._await_room()
            except asyncio.CancelledError:
                client.close()
                raise
            connection = Connection(self, loop)
            self._inside[connection] = asyncio.create_task(self._shake_hands(client, connection, context))

    async def _shake_hands(self, client: socket.socket, connection: Connection, context: ssl.SSLContext) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                client,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except OSError:
            # The client speaks no TLS that we do, or has gone; neither is news.
            self._forget(connection)

    async def _await_room(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._inside) >= MAX_CONNECTIONS:
            least = least_useful(self._inside)
            self._is_crowded = least is None or least.has_asked
            if least is not None and least.since + PATIENCE_SECONDS <= loop.time():
                metrics.CLIENTS_CUT_OFF.labels("room").inc()
                self._cut_off(least)
                continue
            self._has_left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(None if least is None else least.since + PATIENCE_SECONDS):
                    await self._has_left.wait()
        self._is_crowded = False

    def _cut_off(self, connection: Connection) -> None:
        """End a connection, or the handshake that is to become one; its place is free at once."""
        self._inside[connection].cancel()
        self._forget(connection)
        connection.abort()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            metrics.CONNECTIONS.set(len(self._inside))
            for connection in tuple(self._inside):
                connection.look_at_clock(loop.time())

    async def _part(self) -> None:
        for connection in tuple(self._inside):
            connection.leave()
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                while self._inside:
                    self._has_left.clear()
                    await self._has_left.wait()
        except TimeoutError:
            _log.warning("clients were cut off", extra={"connections": len(self._inside)})
            for connection in tuple(self._inside):
                self._cut_off(connection)


def least_useful(inside: Iterable[Connection]) -> Connection | None:
    """Choose who is missed least: first who never asked anything, then who was answered the longest ago.

    Many who come at once do not push out those who were of use. Who is owed an answer is never chosen.
    """
    idle = (client for client in inside if not client.is_owed)
    return min(idle, key=lambda client: (client.has_asked, client.since), default=None)


def _listening(host: str, port: int) -> socket.socket:
    is_dual = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    listening = socket.create_server((host, port), family=family, dualstack_ipv6=is_dual, backlog=BACKLOG)
    listening.settimeout(0)
    return listening
