"""Serves admission reviews over HTTPS: takes bytes in, has them decided, sends bytes out.

It stands on aiohttp's `web.Server` and not on `web.Application`, whose routes, middlewares and signals cost a tenth of
the time of a review, and serve four paths that never change (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from shared.errors import MalformedReview
from webhook import metrics, review
from webhook.review import Allow, Deny, Patch

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

    Decide: TypeAlias = Callable[[review.AdmissionRequest], Awaitable[review.Decision]]

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""The API server takes objects of up to 3 MiB, and a review of an update holds two."""
BODY_SECONDS: Final = 10.0
"""No API server waits longer than this for our answer; a client that sends this slowly is none."""
KEEP_ALIVE_SECONDS: Final = 300.0
"""API servers drop idle connections after 90 s. Were we first, a request could meet the closing connection."""
SHUTDOWN_SECONDS: Final = 5.0
"""For answers under way when the server stops: the webhook's own `timeoutSeconds`."""

_JSON: Final = "application/json"


@dataclass
class Draining:
    """Whether this process is on its way out: it serves on, but asks every client to connect elsewhere."""

    is_under_way: bool = field(default=False)


def build_server(decisions: Mapping[str, Decide], draining: Draining) -> web.Server:
    """Build what answers requests; needs the event loop that it will serve on.

    Args:
        decisions: What decides the reviews that are posted to each path.
        draining: Looked at with each answer.
    """
    endpoints = {path: _Endpoint(path, decide) for path, decide in decisions.items()}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = await _respond(request, endpoints.get(request.path))
        if draining.is_under_way:
            response.force_close()
        return response

    logger = logging.getLogger(__name__)
    logger.addFilter(_is_our_fault)
    return web.Server(
        handle,
        request_factory=partial(web.BaseRequest, loop=asyncio.get_running_loop(), client_max_size=MAX_BODY_BYTES),
        access_log=None,
        logger=logger,
        # API servers compress nothing; a few kilobytes of somebody else's could unfold into gigabytes.
        auto_decompress=False,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
    )


async def serve(server: web.Server, port: int, context: ssl.SSLContext, *, host: str | None = None) -> web.ServerRunner:
    """Serve on every address of the pod, or one; the caller cleans the runner up."""
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=context).start()
    return runner


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Tell whether a message is worth a line: bad HTTP is answered or hung up on, and anybody can send any amount."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


class _Endpoint:
    """What is served at one path."""

    def __init__(self, path: str, decide: Decide) -> None:
        self.path = path
        self._decide = decide
        # Bound here, because to look a metric's labels up takes longer than to count.
        self._seconds = metrics.REVIEW_SECONDS.labels(path)
        self._answers = {kind: metrics.REVIEWS.labels(path, kind.__name__.lower()) for kind in (Allow, Patch, Deny)}

    async def answer(self, body: bytes) -> bytes:
        """Decide a review.

        Raises:
            MalformedReview: The body is none.
        """
        start = perf_counter()
        asked = review.parse(body)
        decision = await self._decide(asked)
        answer = review.render(asked.uid, decision)
        self._seconds.observe(perf_counter() - start)
        self._answers[type(decision)].inc()
        return answer

    def count(self, answer: str) -> None:
        """Count what is no decision."""
        metrics.REVIEWS.labels(self.path, answer).inc()


async def _respond(request: web.BaseRequest, endpoint: _Endpoint | None) -> web.StreamResponse:
    """Answer, or say by an HTTP status what went wrong: 4xx is the client's doing, 500 is ours."""
    if endpoint is None:
        return web.Response(status=404, text="only reviews are served\n")
    if request.method != "POST":
        return web.Response(status=405, text="must be posted\n", headers={"Allow": "POST"})
    if request.content_type != _JSON:
        return web.Response(status=415, text=f"must be {_JSON}\n")
    try:
        return web.Response(body=await endpoint.answer(await _body(request)), content_type=_JSON)
    except web.HTTPException:
        raise
    except MalformedReview as error:
        endpoint.count("malformed")
        return web.Response(status=400, text=f"{error}\n")
    except RecursionError:
        endpoint.count("malformed")
        return web.Response(status=400, text="nested too deeply\n")
    except Exception:
        # aiohttp logs it and answers 500.
        endpoint.count("error")
        raise


async def _body(request: web.BaseRequest) -> bytes:
    try:
        if request.content.is_eof():
            # It has come with its head, as it mostly does: there is nothing to wait for, and no timer to be set.
            return await request.read()
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise MalformedReview("the body cannot be read") from error
