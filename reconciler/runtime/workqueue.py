"""A queue of keys with client-go's rules: no key twice, one worker per key at a time, a rate limit on failures.

These rules make a level-based reconciler safe: a worker processes a key once more if somebody adds it meanwhile, and a
key names an object, never what happened to it.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    Key: TypeAlias = tuple[str, ...]

FIRST_BACKOFF_SECONDS: Final = 0.1
MAX_BACKOFF_SECONDS: Final = 300.0

_random = random.SystemRandom()


class WorkQueue:
    """Keys that wait for a worker."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._processing: set[Key] = set()
        self._dirty: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Queue a key now; if a worker is processing it, queue it again when that worker is done."""
        self._cancel_timer(key)
        if key in self._processing:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._put(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Queue a key later, unless somebody queues it before."""
        if seconds <= 0:
            self.add(key)
            return
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._expire, key)

    def add_rate_limited(self, key: Key) -> float:
        """Queue a key after a backoff that grows with each failure; returns the backoff in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 20), MAX_BACKOFF_SECONDS)
        pause *= _random.uniform(0.8, 1.2)
        self.add_after(key, pause)
        return pause

    def forget(self, key: Key) -> None:
        """Reset a key's backoff, so that its next failure counts as its first."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """Wait for a key; no other worker gets it until `done`."""
        key = await self._take()
        self._waiting.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: Key) -> None:
        """Return a key that `get` gave out."""
        self._processing.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def _put(self, key: Key) -> None:
        self._ready.put_nowait(key)

    async def _take(self) -> Key:
        return await self._ready.get()

    def _expire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
