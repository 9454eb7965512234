"""Reads a storage that the cache does not have yet.

A user who applies a storage and its consumer in one go is faster than any watch. Without the storage, the webhook would
give that consumer wrong warnings, and would not inject what the storage's spec asks for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from shared import errors
from shared.objects.resources import SESSION_STORAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.kubernetes.verbs import Getter
    from shared.objects.resources import Key, Object

READ_SECONDS: Final = 1.0
"""Together with an access review, well within the 5 s after which the API server stops waiting for the webhook."""

_log = logging.getLogger(__name__)


class Cache(Protocol):
    """The webhook's cache of storages."""

    @property
    def objects(self) -> Mapping[Key, Object]:
        """Return all of them."""

    def remember(self, obj: Object) -> None:
        """Add one."""


class StorageLookup:
    """Fills gaps in the cache from the API server."""

    def __init__(self, cluster: Getter, cache: Cache) -> None:
        self._cluster = cluster
        self._cache = cache

    async def ensure_cached(self, key: Key) -> None:
        """Read a storage into the cache if it exists; one that cannot be read in time counts as not there yet."""
        if key in self._cache.objects:
            return
        try:
            async with asyncio.timeout(READ_SECONDS):
                self._cache.remember(await self._cluster.get(SESSION_STORAGES, *key))
        except errors.NotFound:
            return
        except (errors.ClusterError, TimeoutError) as error:
            _log.warning(
                "could not read the storage: going on as if it did not exist",
                extra={"storage": "/".join(key), "error": repr(error)},
            )
