"""Reads request bodies: each within its deadline, and all unfinished ones together within a bound on memory."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from webhook.http import metrics
from webhook.http.answers import Answer

if TYPE_CHECKING:
    from aiohttp import StreamReader

REQUEST_SECONDS: Final = 10.0
"""Time from a request's first byte to its last. No API server waits longer than this for an answer (the greatest
`webhook.timeoutSeconds` that the chart takes), so a client that sends more slowly is not one."""
MAX_HELD_BYTES: Final = 16 * 1024 * 1024
"""Bound on all unfinished bodies together: four of the longest. The container may use 256 MiB; the process uses 90, the
connections 40, and reviews under decision 96 (`webhook/undecided.py`)."""

TOO_SLOW: Final = Answer.of_text(
    HTTPStatus.REQUEST_TIMEOUT, f"the request was not complete after {REQUEST_SECONDS:.0f} s"
)
_TOO_MANY: Final = Answer.of_text(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients send long bodies slowly")


class Bodies:
    """Reads the bodies of all connections."""

    def __init__(self) -> None:
        self._unfinished: dict[asyncio.Timeout, bytearray] = {}

    @property
    def held_bytes(self) -> int:
        """Bytes of unfinished bodies in memory."""
        return sum(map(len, self._unfinished.values()))

    async def read(self, content: StreamReader, deadline: float) -> bytes | Answer:
        """Read a body that arrives in pieces; return the whole body, or the refusal.

        When all unfinished bodies together exceed the bound, the reader gives up the oldest: an API server sends a body
        within milliseconds, so the client that has been sending for the longest time is not one.

        Args:
            content: The body, as it arrives.
            deadline: When the body must be complete, by the event loop's clock.
        """
        until = asyncio.timeout_at(deadline)
        body = self._unfinished[until] = bytearray()
        try:
            async with until:
                while piece := await content.readany():
                    body += piece
                    self._give_up_the_oldest()
        except TimeoutError:
            if until in self._unfinished:
                metrics.CLIENTS_CUT_OFF.labels(metrics.CutOff.SLOW).inc()
                return TOO_SLOW
        finally:
            is_given_up = self._unfinished.pop(until, None) is None
        # The last piece may have arrived after this body was given up, and before its reading timed out.
        if is_given_up:
            metrics.CLIENTS_CUT_OFF.labels(metrics.CutOff.BODIES).inc()
            return _TOO_MANY
        return bytes(body)

    def _give_up_the_oldest(self) -> None:
        """Free the oldest bodies until the rest fits, and let their reading time out at its next step."""
        while self.held_bytes > MAX_HELD_BYTES:
            oldest = next(iter(self._unfinished))
            self._unfinished.pop(oldest).clear()
            oldest.reschedule(0)
