"""Bounds how many requests are in flight, so that no part of a process can hold up another one. No I/O.

Requests beyond the bound wait, and namespaces take turns: a tenant with a thousand storages delays its own storages,
and not those of others. Urgent requests, as in a failover, have places of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_IS_URGENT: Final = ContextVar("is_urgent", default=False)


@contextlib.contextmanager
def urgently(*, when: bool = True) -> Iterator[None]:
    """Let the requests inside the block, and those of tasks that it starts, go ahead of all others; if `when` holds."""
    before = _IS_URGENT.set(when)
    try:
        yield
    finally:
        _IS_URGENT.reset(before)


def is_urgent() -> bool:
    """Tell whether the caller is inside an `urgently` block."""
    return _IS_URGENT.get()


class Turns:
    """A number of places; who finds none free waits until it is the turn of its namespace."""

    def __init__(self, places: int) -> None:
        self._free = places
        # Namespaces in the order in which it is their turn; none of them is empty.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def take(self, namespace: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it during the block; requests of no namespace count as one namespace's."""
        await self._enter(namespace)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, namespace: str) -> None:
        if self._free:
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._leave()  # it got the place in the instant in which it gave up
            raise

    def _leave(self) -> None:
        while self._waiting:
            namespace = next(iter(self._waiting))
            queue = self._waiting.pop(namespace)
            place = queue.popleft()
            if queue:
                self._waiting[namespace] = queue  # behind all others
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
