"""A queue of keys: one worker per key at a time, no key twice, failures with a growing pause.

The same rules as client-go's workqueue, because they are what makes a level-based reconciler safe: a key that
changes while it is being worked on is worked on once more afterwards, and a key says who, never what happened.
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
        self._working: set[Key] = set()
        self._changed: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Queue a key now; if it is being worked on, once more when that is done."""
        self._cancel_timer(key)
        if key in self._working:
            self._changed.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Queue a key later, unless something queues it before."""
        if seconds <= 0:
            self.add(key)
            return
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._expire, key)

    def add_failed(self, key: Key) -> float:
        """Queue a key after a pause that grows with each failure; returns the pause in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 20), MAX_BACKOFF_SECONDS)
        pause *= _random.uniform(0.8, 1.2)
        self.add_after(key, pause)
        return pause

    def forget(self, key: Key) -> None:
        """Let a key's next failure count as its first."""
        self._failures.pop(key, None)

    async def take(self) -> Key:
        """Wait for a key; it is the caller's until `done`."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """Give a key back."""
        self._working.discard(key)
        if key in self._changed:
            self._changed.discard(key)
            self.add(key)

    def _expire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
