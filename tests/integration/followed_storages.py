"""Follows the storages of a namespace, and the Lease, by watches: a look at each would be load of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable

import pytest

from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.objects.conditions import holds
from shared.objects.resources import LEASES, SESSION_STORAGES, Object
from tests.integration.installation import NAMESPACE

UP_SECONDS = 600


class FollowedStorages:
    """Follows the storages of a namespace, and the Lease.

    Attributes:
        renewals: When the Lease was seen to be renewed, by this process's clock.
        holders: Who held it.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.renewals: list[float] = []
        self.holders: set[str] = set()
        self._namespace = namespace
        self._changed = asyncio.Event()
        self._storages = Informer(cluster, SESSION_STORAGES, self._wake, selector=Selector(namespace))
        self._lease = Informer(cluster, LEASES, self._on_lease, selector=Selector(NAMESPACE))

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(each.run()) for each in (self._storages, self._lease)]
        try:
            await self._storages.synced.wait()
            await self._lease.synced.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until_ready(self, names: set[str], seconds: float) -> float:
        """Wait, and return how many seconds it took."""
        return await self.until("Ready", names, seconds)

    async def until(self, condition: str, names: set[str], seconds: float) -> float:
        """Wait until a condition is true of storages, and return how many seconds it took."""
        return await self._until(lambda: len(self._holding(condition, names)), len(names), seconds)

    async def until_renewed(self, times: int) -> None:
        """Wait for the Lease to be renewed so often."""
        await self._until(lambda: len(self.renewals), len(self.renewals) + times, UP_SECONDS)

    async def _until(self, reached: Callable[[], int], wanted: int, seconds: float) -> float:
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                while reached() < wanted:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pytest.fail(f"{reached()} of {wanted} after {seconds} s")
        return time.monotonic() - began

    @property
    def longest_pause(self) -> float:
        """The longest time between two renewals."""
        return max(later - earlier for earlier, later in itertools.pairwise(self.renewals))

    def _holding(self, condition: str, names: set[str]) -> list[str]:
        found = ((name, self._storages.get((self._namespace, name))) for name in names)
        return [name for name, obj in found if obj is not None and holds(obj, condition)]

    def _on_lease(self, _: Object | None, new: Object | None) -> None:
        self.renewals.append(time.monotonic())
        self.holders.add((new or {})["spec"]["holderIdentity"])
        self._changed.set()

    def _wake(self, *_: object) -> None:
        self._changed.set()
