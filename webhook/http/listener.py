"""Accepts a limited number of connections, closes slow ones, and answers what is under way before the process stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from webhook.http import metrics
from webhook.http.connection import Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from webhook.http.answers import Answer

MAX_CONNECTIONS: Final = 128
"""Enough for five API servers, the most members that etcd should have, each with the 25 idle connections that it may
keep to a webhook (client-go `transport/cache.go`)."""
MAX_PER_PEER: Final = 96
"""Most connections from one address, so that nobody alone takes all of them. Three API servers may share an address,
as behind a tunnel to the nodes, and then have 75 idle connections."""
PATIENCE_SECONDS: Final = 0.5
"""How long an idle client may keep its connection while another client waits for one; an API server sends a request
within milliseconds."""
BACKLOG: Final = 512
"""How many clients the kernel lets wait until the listener accepts them."""
HANDSHAKE_SECONDS: Final = 10.0
TICK_SECONDS: Final = 1.0
"""One timer checks all connections: a timer per request would cost as much as reading the request."""

_TLS_ENDED: Final = "Fatal error on SSL protocol"

_log = logging.getLogger(__name__)


class Listener(web.Server):
    """All connections, from the first packet on; aiohttp's own list lacks those whose TLS is not established yet.

    Attributes:
        is_draining: Whether the process is about to stop: it still answers, and closes each connection after an answer.
    """

    def __init__(
        self, answer: Callable[[web.BaseRequest, Connection], Awaitable[Answer]], shutdown_seconds: float
    ) -> None:
        """Take what every request is answered with.

        Args:
            answer: Answers a request.
            shutdown_seconds: How long to wait at the end for answers under way; API servers wait no longer than their
                `timeoutSeconds`. A client has as long to close TLS; what it still sends then is dropped.
        """
        super().__init__(self._respond, handler_cancellation=True)
        self.is_draining = False
        self._answer = answer
        self._shutdown_seconds = shutdown_seconds
        self._is_crowded = False
        self._clients: dict[Connection, asyncio.Task[None]] = {}
        self._has_left = asyncio.Event()

    @property
    def must_close(self) -> bool:
        """Whether each connection closes after its next answer: the process drains, or others wait and all are used."""
        return self.is_draining or self._is_crowded

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        answer = await self._answer(request, connection)
        return await connection.answer(request, answer, must_close=self.must_close)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a client that has left."""
        super().connection_lost(handler, exc)
        self._forget(cast("Connection", handler))

    def _forget(self, connection: Connection) -> None:
        self._clients.pop(connection, None)
        self._has_left.set()

    @contextlib.asynccontextmanager
    async def serving(self, port: int, context: ssl.SSLContext, *, host: str = "") -> AsyncIterator[int]:
        """Serve on every address of the pod, or on one; yield the port.

        At the end of the block, the listener accepts nobody any more, and waits for the answers under way.
        """
        asyncio.get_running_loop().set_exception_handler(report)
        with _listening(host, port) as listening:
            async with asyncio.TaskGroup() as group:
                accepting = group.create_task(self._accept(listening, context))
                ticking = group.create_task(self._tick())
                try:
                    yield listening.getsockname()[1]
                finally:
                    self.is_draining = True
                    accepting.cancel()
                    await asyncio.wait([accepting])
                    listening.close()
                    await self._close_all()
                    ticking.cancel()

    async def _accept(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, (peer, *_) = await loop.sock_accept(listening)
            except OSError as error:
                # The process may have run out of file descriptors, for example.
                _log.warning("no connection could be accepted", extra={"error": str(error)})
                await asyncio.sleep(TICK_SECONDS)
                continue
            if not self._has_place_for(peer):
                client.close()
                continue
            try:
                await self._await_room()
            except asyncio.CancelledError:
                client.close()
                raise
            connection = Connection(self, loop, peer)
            self._clients[connection] = asyncio.create_task(self._shake_hands(client, connection, context))

    async def _shake_hands(self, client: socket.socket, connection: Connection, context: ssl.SSLContext) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                client,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=self._shutdown_seconds,
            )
        except OSError:
            # The client shares no version of TLS with us, or has gone; neither deserves a log line.
            self._forget(connection)

    def _has_place_for(self, peer: str) -> bool:
        """Tell whether one more connection from an address may come in; an idle one from there gives way to it.

        Nobody waits here: clients of other addresses are next in the queue.
        """
        same = [client for client in self._clients if client.peer == peer]
        if len(same) < MAX_PER_PEER:
            return True
        metrics.CLIENTS_CUT_OFF.labels(metrics.CutOff.PEER).inc()
        least = least_useful(same)
        if least is None or least.idle_since + PATIENCE_SECONDS > asyncio.get_running_loop().time():
            return False
        self._cut_off(least)
        return True

    async def _await_room(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._clients) >= MAX_CONNECTIONS:
            least = least_useful(self._clients)
            self._is_crowded = least is None or least.has_sent_request
            if least is not None and least.idle_since + PATIENCE_SECONDS <= loop.time():
                metrics.CLIENTS_CUT_OFF.labels(metrics.CutOff.ROOM).inc()
                self._cut_off(least)
                continue
            self._has_left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(None if least is None else least.idle_since + PATIENCE_SECONDS):
                    await self._has_left.wait()
        self._is_crowded = False

    def _cut_off(self, connection: Connection) -> None:
        """Abort a connection or its TLS handshake, so that another client can connect at once."""
        self._clients[connection].cancel()
        self._forget(connection)
        connection.abort()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            metrics.CONNECTIONS.set(len(self._clients))
            for connection in tuple(self._clients):
                connection.close_if_slow(loop.time())

    async def _close_all(self) -> None:
        for connection in tuple(self._clients):
            connection.close_if_idle()
        try:
            async with asyncio.timeout(self._shutdown_seconds):
                while self._clients:
                    self._has_left.clear()
                    await self._has_left.wait()
        except TimeoutError:
            _log.warning("clients were cut off", extra={"connections": len(self._clients)})
            for connection in tuple(self._clients):
                self._cut_off(connection)


def least_useful(clients: Iterable[Connection]) -> Connection | None:
    """Choose the connection to close: one that never sent a request, or else the one that was answered the longest ago.

    So a crowd of new clients does not push out the API servers. A client that awaits an answer is never chosen.
    """
    idle = (client for client in clients if not client.awaits_answer)
    return min(idle, key=lambda client: (client.has_sent_request, client.idle_since), default=None)


def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the event loop could not handle, but not that a client left while uvloop was reading its TLS records.

    uvloop then writes to a closed transport, and reports that as an error: any client could fill the log with it.
    """
    if context.get("message", "").startswith(_TLS_ENDED) and isinstance(context.get("exception"), RuntimeError):
        _log.debug("a client left in the middle of a TLS record")
        return
    loop.default_exception_handler(context)


def _listening(host: str, port: int) -> socket.socket:
    is_dual = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    listening = socket.create_server((host, port), family=family, dualstack_ipv6=is_dual, backlog=BACKLOG)
    listening.settimeout(0)
    return listening
