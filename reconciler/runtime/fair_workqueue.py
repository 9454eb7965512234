"""A queue of keys in which namespaces take turns, so that none of them can keep the workers from the others."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING

from reconciler.runtime.workqueue import WorkQueue

if TYPE_CHECKING:
    from reconciler.runtime.workqueue import Key


class FairWorkQueue(WorkQueue):
    """Keys whose first part is a namespace; a few of each namespace at most are with workers at a time."""

    def __init__(self, at_once: int) -> None:
        """Take how many keys of one namespace workers may have at a time."""
        super().__init__()
        self._at_once = at_once
        self._lines: dict[str, deque[Key]] = {}
        """The keys that wait, by namespace; the namespace whose turn is next comes first."""
        self._with_workers: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def done(self, key: Key) -> None:
        """Return a key that `get` gave out."""
        namespace = key[0]
        self._with_workers[namespace] -= 1
        if not self._with_workers[namespace]:
            del self._with_workers[namespace]
        self._changed.set()
        super().done(key)

    def _put(self, key: Key) -> None:
        self._lines.setdefault(key[0], deque()).append(key)
        self._changed.set()

    async def _take(self) -> Key:
        while (namespace := self._next_namespace()) is None:
            self._changed.clear()
            await self._changed.wait()
        line = self._lines.pop(namespace)
        key = line.popleft()
        if line:
            self._lines[namespace] = line
        self._with_workers[namespace] += 1
        return key

    def _next_namespace(self) -> str | None:
        return next((each for each in self._lines if self._with_workers[each] < self._at_once), None)
