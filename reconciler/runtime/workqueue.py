"""A queue of keys with client-go's rules: no key twice, one worker per key at a time, a rate limit on failures.

These rules make a level-based reconciler safe: a worker processes a key once more if somebody adds it meanwhile, and a
key names an object, never what happened to it.

A key that is hastened, such as that of a storage with a silent primary, has a line and workers of its own until a pass
finds that nothing is urgent any more: it waits neither for a thousand others nor for what their passes wait for.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    Key: TypeAlias = tuple[str, ...]

FIRST_BACKOFF_SECONDS: Final = 0.1
MAX_BACKOFF_SECONDS: Final = 300.0
MAX_URGENT_BACKOFF_SECONDS: Final = 5.0
"""An API server that comes back after an outage must not find a failover waiting for minutes."""

_random = random.SystemRandom()


class WorkQueue:
    """Keys that wait for a worker."""

    def __init__(self, line: asyncio.Queue[Key] | None = None) -> None:
        """Take the line in which keys wait that are not hastened, if it is not first come, first served."""
        self._ready: asyncio.Queue[Key] = asyncio.Queue() if line is None else line
        self._ready_first: asyncio.Queue[Key] = asyncio.Queue()
        self._hastened: set[Key] = set()
        self._waiting: set[Key] = set()
        self._processing: dict[Key, bool] = {}  # whether the pass is, or was, urgent
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

    def hasten(self, key: Key) -> None:
        """Queue a key ahead of all that are not hastened, now and until a pass is over that called `calm`."""
        if key in self._waiting and key not in self._hastened:
            self._ready_first.put_nowait(key)  # what is left in the other line counts as taken
        self._hastened.add(key)
        self.add(key)

    def calm(self, key: Key) -> None:
        """Queue a key behind others again after its present pass, unless somebody has hastened it meanwhile."""
        self._processing[key] = False

    def add_after(self, key: Key, seconds: float) -> None:
        """Queue a key later, unless somebody queues it before."""
        if seconds <= 0:
            self.add(key)
            return
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._expire, key)

    def add_rate_limited(self, key: Key, *, at_least: float = 0.0) -> float:
        """Queue a key after a backoff that grows with each failure; returns the backoff in seconds.

        Args:
            key: The key that failed.
            at_least: Shortest backoff, in seconds.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        longest = MAX_URGENT_BACKOFF_SECONDS if self._processing.get(key) else MAX_BACKOFF_SECONDS
        pause = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 20), longest)
        pause = max(pause * _random.uniform(0.8, 1.2), at_least * _random.uniform(1.0, 1.2))
        self.add_after(key, pause)
        return pause

    def forget(self, key: Key) -> None:
        """Reset a key's backoff, so that its next failure counts as its first."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """Wait for a key that is not hastened; no other worker gets it until `done`."""
        return await self._taken_by(self._ready)

    async def get_hastened(self) -> Key:
        """Wait for a key that is hastened; no other worker gets it until `done`."""
        return await self._taken_by(self._ready_first)

    def done(self, key: Key) -> None:
        """Return a key that `get` gave out."""
        if self._processing.pop(key):
            self._hastened.add(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def _put(self, key: Key) -> None:
        (self._ready_first if key in self._hastened else self._ready).put_nowait(key)

    async def _taken_by(self, line: asyncio.Queue[Key]) -> Key:
        while (key := await line.get()) not in self._waiting:
            pass  # it was hastened, and taken from the other line
        self._waiting.discard(key)
        self._processing[key] = key in self._hastened
        self._hastened.discard(key)
        return key

    def _expire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
