"""Reads bodies: each within its deadline, and all that are not complete yet within one bound on memory."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from webhook.http import metrics
from webhook.http.heads import Refusal

if TYPE_CHECKING:
    from aiohttp import StreamReader

REQUEST_SECONDS: Final = 10.0
"""From a request's first byte to its last. No API server waits longer than this for our answer; a client that sends
this slowly is none."""
MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Four of the longest bodies. The container may take 256 MiB, of which the process takes 90 and connections 40."""

TOO_SLOW: Final = Refusal(HTTPStatus.REQUEST_TIMEOUT, f"the request was not whole after {REQUEST_SECONDS:.0f} s")
_TOO_MANY: Final = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients send long bodies slowly")


class Bodies:
    """Reads the bodies of all connections.

    Attributes:
        held_bytes: How much of bodies that are not complete is in memory.
    """

    def __init__(self) -> None:
        self.held_bytes = 0
        self._begun: dict[_Reading, None] = {}

    async def read(self, content: StreamReader, deadline: float) -> bytes | Refusal:
        """Read a body whole that is not there at once, or tell why that must not go on.

        When all bodies together grow too long, the one that was begun first is given up: an API server sends a body
        within milliseconds, so whoever is at it the longest is no API server.

        Args:
            content: The body, as it comes in.
            deadline: Until when it has to be complete, by the event loop's clock.
        """
        reading = _Reading(deadline)
        self._begun[reading] = None
        try:
            async with reading.until:
                while piece := await content.readany():
                    reading.body += piece
                    self.held_bytes += len(piece)
                    self._give_up_the_oldest()
        except TimeoutError:
            if not reading.is_given_up:
                metrics.CLIENTS_CUT_OFF.labels("slow").inc()
                return TOO_SLOW
        finally:
            self.held_bytes -= len(reading.body)
            self._begun.pop(reading, None)
        # The last piece may have come just before the reading was to end.
        if reading.is_given_up:
            metrics.CLIENTS_CUT_OFF.labels("bodies").inc()
            return _TOO_MANY
        return bytes(reading.body)

    def _give_up_the_oldest(self) -> None:
        while self.held_bytes > MAX_HELD_BYTES:
            oldest = next(iter(self._begun))
            del self._begun[oldest]
            self.held_bytes -= len(oldest.body)
            oldest.give_up()


class _Reading:
    """One body that is not complete."""

    def __init__(self, deadline: float) -> None:
        self.body = bytearray()
        self.until = asyncio.timeout_at(deadline)
        self.is_given_up = False

    def give_up(self) -> None:
        """Let go of what has come, and end the reading at its next step."""
        self.is_given_up = True
        self.body = bytearray()
        self.until.reschedule(0)
