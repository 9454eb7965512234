"""Reads bodies: each within its deadline, and all that are not complete yet within one bound on memory."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from webhook.http import metrics
from webhook.http.answers import Answer, refusal

if TYPE_CHECKING:
    from aiohttp import StreamReader

REQUEST_SECONDS: Final = 10.0
"""From a request's first byte to its last. No API server waits longer than this for our answer; a client that sends
this slowly is none."""
MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Four of the longest bodies. The container may take 256 MiB, of which the process takes 90 and connections 40."""

TOO_SLOW: Final = refusal(HTTPStatus.REQUEST_TIMEOUT, f"the request was not whole after {REQUEST_SECONDS:.0f} s")
_TOO_MANY: Final = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients send long bodies slowly")


class Bodies:
    """Reads the bodies of all connections."""

    def __init__(self) -> None:
        self._begun: dict[asyncio.Timeout, bytearray] = {}

    @property
    def held_bytes(self) -> int:
        """How much of bodies that are not complete is in memory."""
        return sum(map(len, self._begun.values()))

    async def read(self, content: StreamReader, deadline: float) -> bytes | Answer:
        """Read a body whole that is not there at once, or refuse to go on.

        When all bodies together grow too long, the one that was begun first is given up: an API server sends a body
        within milliseconds, so whoever is at it the longest is no API server.

        Args:
            content: The body, as it comes in.
            deadline: Until when it has to be complete, by the event loop's clock.
        """
        until = asyncio.timeout_at(deadline)
        body = self._begun[until] = bytearray()
        try:
            async with until:
                while piece := await content.readany():
                    body += piece
                    self._give_up_the_oldest()
        except TimeoutError:
            if until in self._begun:
                metrics.CLIENTS_CUT_OFF.labels("slow").inc()
                return TOO_SLOW
        finally:
            is_given_up = self._begun.pop(until, None) is None
        # The last piece may have come just before the reading was to end.
        if is_given_up:
            metrics.CLIENTS_CUT_OFF.labels("bodies").inc()
            return _TOO_MANY
        return bytes(body)

    def _give_up_the_oldest(self) -> None:
        """Let go of what has come, and end the reading at its next step."""
        while self.held_bytes > MAX_HELD_BYTES:
            oldest = next(iter(self._begun))
            self._begun.pop(oldest).clear()
            oldest.reschedule(0)
