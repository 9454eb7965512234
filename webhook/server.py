"""Serves admission reviews over HTTPS: what is decided at which path, and how a process comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from email.utils import formatdate
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from shared.errors import MalformedReview
from webhook import metrics
from webhook.admission import review
from webhook.admission.review import Allow, Deny, Patch
from webhook.connection import Connection
from webhook.messages import Response

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from webhook.messages import Request

    Decide: TypeAlias = Callable[[review.AdmissionRequest], review.Decision | Awaitable[review.Decision]]
    """A decision, or, where something has to be found out first, what will become one."""

HANDSHAKE_SECONDS: Final = 10.0
SHUTDOWN_SECONDS: Final = 5.0
"""For answers under way when the server stops: the webhook's own `timeoutSeconds`."""
TICK_SECONDS: Final = 1.0
"""One timer looks at all connections: one per request would cost as much as reading the request."""

_JSON: Final = "application/json"
_DECISIONS: Final = (Allow, Patch, Deny)
_logger = logging.getLogger(__name__)


class Server:
    """Answers the requests of all connections.

    Attributes:
        date: The time, as HTTP writes it; a tick old at most.
        is_draining: Whether this process is on its way out: it serves on, but asks every client to connect elsewhere.
    """

    def __init__(self, decisions: Mapping[str, Decide]) -> None:
        """Take what decides the reviews that are posted to each path."""
        self.date = formatdate(usegmt=True)
        self.is_draining = False
        self._endpoints = {path: _Endpoint(path, decide) for path, decide in decisions.items()}
        self._connections: set[Connection] = set()
        self._all_gone = asyncio.Event()

    @contextlib.asynccontextmanager
    async def serving(self, port: int, context: ssl.SSLContext, *, host: str | None = None) -> AsyncIterator[int]:
        """Serve on every address of the pod, or on one; the block is given the port.

        At its end nobody can connect any more, and answers under way are waited for.
        """
        listening = await asyncio.get_running_loop().create_server(
            lambda: Connection(self),
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
        ticking = asyncio.create_task(self._tick())
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
            await self._part()
            ticking.cancel()

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Answer, or say by an HTTP status what went wrong: 4xx is the client's doing, 500 is ours."""
        if request.method != "POST":
            # It may be HEAD, whose answer must have no content.
            return Response(HTTPStatus.METHOD_NOT_ALLOWED)
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            return Response.of_text(HTTPStatus.NOT_FOUND, "only reviews are served")
        if request.content_type != _JSON or request.is_encoded:
            # API servers compress nothing; a few kilobytes of somebody else's could unfold into gigabytes.
            return Response.of_text(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"must be {_JSON}, and nothing else in between")
        return endpoint.respond(request.body)

    def has_come(self, connection: Connection) -> None:
        """Look after a connection."""
        self._connections.add(connection)
        self._all_gone.clear()

    def has_gone(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.date = formatdate(usegmt=True)
            for connection in tuple(self._connections):
                connection.look_at_clock(loop.time())

    async def _part(self) -> None:
        self.is_draining = True
        for connection in tuple(self._connections):
            connection.leave()
        if not self._connections:
            return
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await self._all_gone.wait()
        except TimeoutError:
            _logger.warning("clients were cut off", extra={"connections": len(self._connections)})
            for connection in tuple(self._connections):
                connection.abort()


class _Endpoint:
    """What is served at one path."""

    def __init__(self, path: str, decide: Decide) -> None:
        self._path = path
        self._decide = decide
        # Bound here, because to look a metric's labels up takes longer than to count.
        self._seconds = metrics.REVIEW_SECONDS.labels(path)
        self._answers = {kind: metrics.REVIEWS.labels(path, kind.__name__.lower()) for kind in _DECISIONS}

    def respond(self, body: bytes) -> Response | Awaitable[Response]:
        """Decide a review; at once, if nothing has to be found out."""
        start = perf_counter()
        try:
            asked = review.parse(body)
            decision = self._decide(asked)
            if isinstance(decision, _DECISIONS):
                return self._answer(asked, decision, start)
        except (MalformedReview, RecursionError) as error:
            return self._refuse(error)
        except Exception:
            _logger.exception("a review could not be decided", extra={"path": self._path})
            return self._fail()
        return self._respond_late(asked, decision, start)

    async def _respond_late(
        self, asked: review.AdmissionRequest, decision: Awaitable[review.Decision], start: float
    ) -> Response:
        try:
            return self._answer(asked, await decision, start)
        except RecursionError as error:
            return self._refuse(error)
        except Exception:
            _logger.exception("a review could not be decided", extra={"path": self._path})
            return self._fail()

    def _answer(self, asked: review.AdmissionRequest, decision: review.Decision, start: float) -> Response:
        answer = review.render(asked.uid, decision)
        self._seconds.observe(perf_counter() - start)
        self._answers[type(decision)].inc()
        return Response(HTTPStatus.OK, answer, _JSON)

    def _refuse(self, error: MalformedReview | RecursionError) -> Response:
        metrics.REVIEWS.labels(self._path, "malformed").inc()
        text = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return Response.of_text(HTTPStatus.BAD_REQUEST, text)

    def _fail(self) -> Response:
        metrics.REVIEWS.labels(self._path, "error").inc()
        return Response.of_text(HTTPStatus.INTERNAL_SERVER_ERROR, "the review could not be decided")
