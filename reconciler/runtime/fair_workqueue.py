"""A queue of keys in which namespaces take turns, so that none of them can keep the workers from the others."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING

from reconciler.runtime.workqueue import WorkQueue

if TYPE_CHECKING:
    from reconciler.runtime.workqueue import Key


class NamespaceTurns(asyncio.Queue["Key"]):
    """A line for each namespace, of whose keys a few at most are taken at a time."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self._at_once = at_once
        self._lines: dict[str, deque[Key]] = {}
        """The keys that wait, by namespace; the namespace whose turn is next comes first."""
        self._taken: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def put_nowait(self, item: Key) -> None:
        """Add a key, whose first part is its namespace, to the end of its line."""
        self._lines.setdefault(item[0], deque()).append(item)
        self._changed.set()

    async def get(self) -> Key:
        """Wait for the next key of a namespace that has fewer taken than it may; it counts until it is put back."""
        while (namespace := self._next_namespace()) is None:
            self._changed.clear()
            await self._changed.wait()
        line = self._lines.pop(namespace)
        key = line.popleft()
        if line:
            self._lines[namespace] = line
        self._taken[namespace] += 1
        return key

    def put_back(self, key: Key) -> None:
        """Let the next key of a namespace be taken."""
        self._taken[key[0]] -= 1
        if not self._taken[key[0]]:
            del self._taken[key[0]]
        self._changed.set()

    def _next_namespace(self) -> str | None:
        return next((each for each in self._lines if self._taken[each] < self._at_once), None)


class FairWorkQueue(WorkQueue):
    """Keys whose first part is a namespace; workers have a few of each namespace at most. Nothing here is hastened."""

    def __init__(self, at_once: int) -> None:
        """Take how many keys of one namespace workers may have at a time."""
        self._turns = NamespaceTurns(at_once)
        super().__init__(self._turns)

    def hasten(self, key: Key) -> None:
        """Queue a key as any other: workers that took it out of turn would serve its namespace alone."""
        self.add(key)

    def done(self, key: Key) -> None:
        """Return a key that `get` gave out."""
        self._turns.put_back(key)
        super().done(key)
