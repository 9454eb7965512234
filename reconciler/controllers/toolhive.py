"""Watches ToolHive's kinds as this cluster serves them: their CRDs, which it keeps extended, and the consumers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from reconciler.controllers.crd_extension import CrdExtension, crd_name
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer, OnChange
from shared.objects.resources import CRDS, Object, Resource

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from shared.consumers.identity import Consumer

PATIENCE_SECONDS: Final = 10.0
"""How long to wait for the first list of consumers; without that list, conditions of storages would come and go."""
SCHEMA_SECONDS: Final = 2.0
"""How long to wait until the API server reads objects by a new schema; it notices a changed CRD within a second."""

_log = logging.getLogger(__name__)


class _Kind:
    """One kind of consumer.

    Attributes:
        crd: Cache of its one CRD.
        extension: Repairs the CRD.
        objects: Cache of its objects.
        schema_changed: Set when the CRD has.
    """

    def __init__(self, cluster: Cluster, resource: Resource, on_consumer: OnChange) -> None:
        self.extension = CrdExtension(cluster, resource)
        only = Selector(fields=f"metadata.name={crd_name(resource)}")
        self.schema_changed = asyncio.Event()
        self.crd = Informer(cluster, CRDS, self._on_crd, selector=only)
        self.objects = Informer(cluster, resource, on_consumer)

    async def watch_objects(self) -> None:
        # A watch of a kind that the cluster does not serve would only fail.
        await self.extension.served.wait()
        while True:
            self.schema_changed.clear()
            watch = asyncio.ensure_future(self.objects.run())
            change = asyncio.ensure_future(self.schema_changed.wait())
            try:
                await asyncio.wait({watch, change}, return_when=asyncio.FIRST_COMPLETED)
                if watch.done():
                    watch.result()
                # A running watch keeps the schema that it began with, and prunes fields that only the new one has.
                await asyncio.sleep(SCHEMA_SECONDS)
            finally:
                watch.cancel()
                change.cancel()
                await asyncio.wait({watch, change})
            self.objects.relist()

    def _on_crd(self, old: Object | None, new: Object | None) -> None:
        self.extension.on_change(old, new)
        if old is not None and new is not None and old["spec"] != new["spec"]:
            self.schema_changed.set()

    async def extend(self) -> None:
        await self.extension.run(self.crd)


class ToolHive:
    """Everything of ToolHive that the reconciler watches."""

    def __init__(self, cluster: Cluster, on_consumer: OnChange) -> None:
        self._kinds = {resource.kind: _Kind(cluster, resource, on_consumer) for resource in CONSUMER_RESOURCES}

    def watches(self) -> list[Coroutine[None, None, None]]:
        """Return what keeps the caches current."""
        kinds = self._kinds.values()
        return [*(kind.crd.run() for kind in kinds), *(kind.watch_objects() for kind in kinds)]

    def extensions(self) -> list[Coroutine[None, None, None]]:
        """Return what keeps `sessionStorageRef` in the CRDs; only the leader runs it."""
        return [kind.extend() for kind in self._kinds.values()]

    async def known(self) -> None:
        """Wait for the CRDs, and at most `PATIENCE_SECONDS` for the objects of the kinds that are served."""
        for kind in self._kinds.values():
            await kind.crd.synced.wait()
        served = [kind.objects for kind in self._kinds.values() if kind.extension.served.is_set()]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for objects in served:
                    await objects.synced.wait()
        except TimeoutError:
            missing = [objects.resource.plural for objects in served if not objects.synced.is_set()]
            _log.warning("the reconciler starts without having listed all consumers", extra={"resources": missing})

    def is_known(self) -> bool:
        """Tell whether the caches hold all objects of every kind that is served."""
        kinds = self._kinds.values()
        return all(kind.objects.synced.is_set() for kind in kinds if kind.extension.served.is_set())

    def crds(self) -> list[Object]:
        """Return the CRDs that the cluster has."""
        return [crd for kind in self._kinds.values() for crd in kind.crd.objects.values()]

    def consumer(self, who: Consumer) -> Object | None:
        """Look up a consumer."""
        return self._kinds[who.kind].objects.get((who.namespace, who.name))

    def consumers(self) -> list[Object]:
        """Return all consumers."""
        return [obj for kind in self._kinds.values() for obj in kind.objects.objects.values()]
