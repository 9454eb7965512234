"""Reads a storage that no watch has told of yet.

Who applies a storage and its consumer in one go is quicker than any watch; without its storage, a consumer would be
warned of what is not so, and not be told what is, nor be wired as the storage's spec asks for.
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
"""With the question who may use a storage, well within the 5 s after which the API server stops waiting for us."""

_log = logging.getLogger(__name__)


class Cache(Protocol):
    """What is known of storages."""

    @property
    def objects(self) -> Mapping[Key, Object]:
        """Return all of them."""

    def remember(self, obj: Object) -> None:
        """Take one in."""


class LateStorages:
    """Fills gaps of a cache from the API server."""

    def __init__(self, cluster: Getter, cache: Cache) -> None:
        self._cluster = cluster
        self._cache = cache

    async def await_known(self, key: Key) -> None:
        """Have a storage in the cache if it exists; what cannot be found out in time counts as not there yet."""
        if key in self._cache.objects:
            return
        try:
            async with asyncio.timeout(READ_SECONDS):
                self._cache.remember(await self._cluster.get(SESSION_STORAGES, *key))
        except errors.NotFound:
            return
        except (errors.ClusterError, TimeoutError) as error:
            _log.warning("storage not read", extra={"storage": "/".join(key), "error": repr(error)})
