"""Bounds what reviews hold in memory while their decisions wait for the API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from shared.errors import Overloaded
from webhook.http import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

MAX_UNDECIDED_BYTES: Final = 96 * 1024 * 1024
"""Bound on all reviews under decision together: one of the largest and a hundred of the usual ones, of 10 kB."""
_BYTES_OF_A_VALUE: Final = 200
"""An object with a single entry takes the most."""
_BYTES_OF_VALUES: Final = 48
"""For each byte of the body, what its values take at most: nested arrays have two bytes, and take the most."""
_BYTES_OF_TEXT: Final = 5
"""For each byte of the body: the body itself, and its texts. Python stores a text in which one character needs four
bytes with four for each."""


def memory_of(body_bytes: int, values: int) -> int:
    """Estimate how many bytes of memory a review takes at most.

    Args:
        body_bytes: Length of its JSON.
        values: How many values the JSON may hold at most.
    """
    return _BYTES_OF_TEXT * body_bytes + min(_BYTES_OF_VALUES * body_bytes, _BYTES_OF_A_VALUE * values)


class Undecided:
    """The reviews under decision.

    Nearly all decisions need nothing but the caches, so they are never here while another one is. When a review needs
    more memory than is left, the oldest gives way, as with unfinished bodies: its client gets a refusal.
    """

    def __init__(self) -> None:
        self._held: dict[asyncio.Timeout, int] = {}
        self._has_left = asyncio.Event()

    @property
    def held_bytes(self) -> int:
        """Estimate of the memory that the reviews under decision take."""
        return sum(self._held.values())

    async def result_of(self, decide: Callable[[], Awaitable[T]], memory: int) -> T:
        """Begin a decision once there is memory for its review, and wait for it.

        Args:
            decide: Parses the review, and decides.
            memory: Estimate of the bytes that the review takes.

        Raises:
            Overloaded: This review gave way to others.
        """
        while self._held and self.held_bytes + memory > MAX_UNDECIDED_BYTES:
            self._give_up_the_oldest(memory)
            self._has_left.clear()
            await self._has_left.wait()
        until = asyncio.timeout(None)
        try:
            async with until:
                self._held[until] = memory
                return await decide()
        except TimeoutError:
            if not until.expired():
                raise
            metrics.CLIENTS_CUT_OFF.labels(metrics.CutOff.DECISIONS).inc()
            raise Overloaded from None
        finally:
            self._held.pop(until, None)
            self._has_left.set()

    def _give_up_the_oldest(self, memory: int) -> None:
        """End as many decisions as have to make room, at their next step; until then their memory counts."""
        staying = {until: held for until, held in self._held.items() if until.when() is None}
        for oldest in list(staying):
            if sum(staying.values()) + memory <= MAX_UNDECIDED_BYTES:
                return
            del staying[oldest]
            oldest.reschedule(0)
