"""Answers admission reviews over HTTP: each path has its decision."""

from __future__ import annotations

import logging
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

from shared.counting import from_zero
from shared.errors import MalformedReview, Overloaded
from webhook import metrics
from webhook.admission import review
from webhook.admission.review import Allow, Deny, Patch
from webhook.http.answers import JSON, Answer
from webhook.http.bodies import Bodies
from webhook.http.heads import CONTINUE, expects_to_continue, refusal_of
from webhook.metrics import ReviewAnswer
from webhook.undecided import Undecided, memory_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp import web

    from webhook.http.connection import Connection

    Decide: TypeAlias = Callable[[review.AdmissionRequest], Awaitable[review.Decision]]

_ANSWERS: Final = {Allow: ReviewAnswer.ALLOW, Patch: ReviewAnswer.PATCH, Deny: ReviewAnswer.DENY}
_logger = logging.getLogger(__name__)
MAX_SHOWN: Final = 320
"""How many characters of what a review says go into the log: the longest namespace and name of an object are shorter.
A review comes before the API server has looked at them, and may have a name of a megabyte."""


class Server:
    """Answers the requests of all connections."""

    def __init__(self, decisions: Mapping[str, Decide]) -> None:
        """Serve each path with the function that decides its reviews."""
        undecided = Undecided()
        self._endpoints = {path: _Endpoint(path, decide, undecided) for path, decide in decisions.items()}
        self._bodies = Bodies()

    async def answer(self, request: web.BaseRequest, connection: Connection) -> Answer:
        """Answer a request; the status is 4xx if the client made a mistake, and 500 if the webhook did."""
        deadline = connection.head_received()
        if refused := refusal_of(request.version, request.headers):
            return refused
        if request.method != "POST":
            # It may be HEAD, whose answer must have no content.
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"")
        endpoint = self._endpoints.get(request.raw_path.partition("?")[0])
        if endpoint is None:
            return Answer.of_text(HTTPStatus.NOT_FOUND, "no reviews are served at this path")
        if not _is_plain_json(request.headers):
            return Answer.of_text(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {JSON} without Content-Encoding"
            )
        content = request.content
        if content.is_eof():
            body: bytes | Answer = content.read_nowait()
        else:
            if expects_to_continue(request.headers):
                await request.writer.write(CONTINUE)
            body = await self._bodies.read(content, deadline)
        if isinstance(body, Answer):
            return body
        connection.body_received()
        return await endpoint.respond(body)


def _is_plain_json(headers: Mapping[str, str]) -> bool:
    """Tell whether a body is JSON as it is; API servers compress nothing."""
    if "Content-Encoding" in headers:
        return False
    content_type = headers.get("Content-Type", "")
    return content_type == JSON or content_type.partition(";")[0].strip().lower() == JSON


class _Endpoint:
    """Decides the reviews of one path, and measures them."""

    def __init__(self, path: str, decide: Decide, undecided: Undecided) -> None:
        self._path = path
        self._decide = decide
        self._undecided = undecided
        # Looked up once, because to look a metric's labels up takes longer than to count.
        self._seconds = from_zero(metrics.REVIEW_SECONDS, [path]).labels(path)
        reviews = from_zero(metrics.REVIEWS, [path], ReviewAnswer)
        self._answers = {kind: reviews.labels(path, answer) for kind, answer in _ANSWERS.items()}

    async def respond(self, body: bytes) -> Answer:
        """Decide a review."""
        start = perf_counter()
        try:
            memory = memory_of(len(body), review.count_values(body))
            uid, decision = await self._undecided.result_of(lambda: self._decided(body), memory)
            answer = review.render(uid, decision)
        except (MalformedReview, RecursionError) as error:
            metrics.REVIEWS.labels(self._path, ReviewAnswer.MALFORMED).inc()
            text = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            return Answer.of_text(HTTPStatus.BAD_REQUEST, text)
        except Overloaded as error:
            metrics.REVIEWS.labels(self._path, ReviewAnswer.OVERLOADED).inc()
            return Answer.of_text(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception:
            _logger.exception("a review could not be decided", extra={"path": self._path})
            metrics.REVIEWS.labels(self._path, ReviewAnswer.ERROR).inc()
            return Answer.of_text(HTTPStatus.INTERNAL_SERVER_ERROR, "the review could not be decided")
        self._seconds.observe(perf_counter() - start)
        self._answers[type(decision)].inc()
        return Answer(HTTPStatus.OK, answer)

    async def _decided(self, body: bytes) -> tuple[str, review.Decision]:
        start, asked = perf_counter(), review.parse(body)
        decision = await self._decide(asked)
        if isinstance(decision, Deny):
            # Only refusals: the object shows everything else, and metrics count it. Their texts are for the author.
            extra = {
                "path": self._path,
                "review": asked.uid[:MAX_SHOWN],
                "operation": asked.operation[:MAX_SHOWN],
                "object": asked.title[:MAX_SHOWN],
                "reason": decision.reason,
                "seconds": round(perf_counter() - start, 6),
            }
            _logger.info("refused a review", extra=extra)
        return asked.uid, decision
