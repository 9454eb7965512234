"""Serves admission reviews over HTTPS: takes bytes in, has them decided, sends bytes out."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from shared.errors import MalformedReview
from webhook import metrics, review

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

    Decide: TypeAlias = Callable[[review.AdmissionRequest], Awaitable[review.Decision]]
    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

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


def build_app(decisions: Mapping[str, Decide], draining: Draining) -> web.Application:
    """Build the application.

    Args:
        decisions: What decides the reviews that are posted to each path.
        draining: Looked at with each answer.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_answer_errors])

    async def say_good_bye(_: web.Request, response: web.StreamResponse) -> None:
        if draining.is_under_way:
            # The header has to be said too: this runs after aiohttp has chosen its own.
            response.headers["Connection"] = "close"
            response.force_close()

    app.on_response_prepare.append(say_good_bye)
    for path, decide in decisions.items():
        app.router.add_post(path, _reviewing(path, decide))
    return app


async def serve(app: web.Application, port: int, context: ssl.SSLContext, *, host: str | None = None) -> web.AppRunner:
    """Serve on every address of the pod, or one; the caller cleans the runner up."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_our_fault)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=logger,
        # API servers compress nothing; a few kilobytes of somebody else's could unfold into gigabytes.
        auto_decompress=False,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=context).start()
    return runner


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Tell whether a message is worth a line: bad HTTP is answered or hung up on, and anybody can send any amount."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


def _reviewing(path: str, decide: Decide) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        if request.content_type != _JSON:
            raise web.HTTPUnsupportedMediaType(text=f"must be {_JSON}\n")
        body = await _body(request)
        start = perf_counter()
        asked = review.parse(body)
        decision = await decide(asked)
        answer = review.render(asked.uid, decision)
        metrics.REVIEW_SECONDS.labels(path).observe(perf_counter() - start)
        metrics.REVIEWS.labels(path, type(decision).__name__.lower()).inc()
        return web.Response(body=answer, content_type=_JSON)

    return handle


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise MalformedReview("the body cannot be read") from error


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into an HTTP status: 400 is the client's doing, 500 is ours."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except MalformedReview as error:
        metrics.REVIEWS.labels(request.path, "malformed").inc()
        return web.Response(status=400, text=f"{error}\n")
    except RecursionError:
        metrics.REVIEWS.labels(request.path, "malformed").inc()
        return web.Response(status=400, text="nested too deeply\n")
    except Exception:
        # aiohttp logs it and answers 500.
        metrics.REVIEWS.labels(request.path, "error").inc()
        raise
