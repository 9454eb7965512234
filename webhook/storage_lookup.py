"""Reads a storage past the cache, for a decision that is about one that the cache lacks."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from shared import errors
from shared.objects.resources import SESSION_STORAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key, Object

_log = logging.getLogger(__name__)


class StorageLookup:
    """The cached SessionStorages, and the way to those that the cache does not have yet."""

    def __init__(self, cluster: Cluster, storages: Informer, seconds: float) -> None:
        """Take the cache, and what answers in its place.

        Args:
            cluster: The API server.
            storages: The cached SessionStorages.
            seconds: How long to wait for a storage that the cache lacks.
        """
        self._cluster = cluster
        self._storages = storages
        self._seconds = seconds

    @property
    def objects(self) -> Mapping[Key, Object]:
        """The cached storages."""
        return self._storages.objects

    async def read(self, key: Key) -> None:
        """Read a storage into the cache if it exists; one that cannot be read in time counts as not there.

        A user who applies a storage and its consumer in one go is faster than any watch. Without the storage, that
        consumer would get wrong warnings, and not what the storage's spec asks for.
        """
        try:
            async with asyncio.timeout(self._seconds):
                self._storages.remember(await self._cluster.get(SESSION_STORAGES, *key))
        except errors.NotFound:
            return
        except (errors.ClusterError, TimeoutError) as error:
            _log.warning(
                "could not read the storage: going on as if it did not exist",
                extra={"storage": "/".join(key), "error": repr(error)},
            )
