"""Watches ToolHive's kinds as this cluster serves them: their CRDs, which it keeps extended, and the consumers.

With the stock schema, the API server prunes `spec.sessionStorageRef` before admission. An upgrade of ToolHive's chart
replaces the versions of a CRD and so drops the property; the reconciler then adds it again. It owns no field of a CRD,
so that such an upgrade conflicts with nobody.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from reconciler.controllers.auth_servers import AuthServers
from reconciler.observe.caches import KEEPING
from reconciler.state import kept_objects
from shared import errors, names
from shared.consumers.toolhive import CONSUMER_RESOURCES, SESSION_RESOURCES, spec_properties
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer, OnChange
from shared.kubernetes.keeping import Keeping
from shared.kubernetes.namespaces import WHOLE_CLUSTER, WatchedNamespaces
from shared.objects.resources import CRDS, Key, Object, Resource
from shared.process.survival import keep_running

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

    from shared.consumers.identity import Consumer

FIELD: Final = "sessionStorageRef"
PROPERTY: Final[Object] = {
    "description": (
        "SessionStorage to keep this server's sessions, and what its embedded auth server knows, in: its name, or an"
        " object with name and namespace."
    ),
    "x-kubernetes-preserve-unknown-fields": True,
}
"""Without a type, so that users can write a string or an object."""
_PROPERTIES: Final = "/schema/openAPIV3Schema/properties/spec/properties"
RETRY_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 10.0
"""How long to wait for the first list of consumers; without that list, conditions of storages would come and go."""
SCHEMA_SECONDS: Final = 2.0
"""How long to wait until the API server reads objects by a new schema; it notices a changed CRD within a second."""

_log = logging.getLogger(__name__)


def crd_name(resource: Resource) -> str:
    """Name of the CRD that defines a resource."""
    return f"{resource.plural}.{resource.group}"


def extension(crd: Object) -> list[Object]:
    """List the operations that add the field to every version of a CRD; none if all versions have it."""
    additions = [
        {"op": "add", "path": f"/spec/versions/{index}{_PROPERTIES}/{FIELD}", "value": PROPERTY}
        for index, version in enumerate(crd["spec"]["versions"])
        if FIELD not in spec_properties(version)
    ]
    return [_unchanged(crd), *additions] if additions else []


def disowning(crd: Object) -> list[Object]:
    """List the operations that give up the ownership of a CRD's fields; none if the reconciler owns none.

    Nobody can own a part of `spec.versions`: the list is atomic. Whoever writes into it owns all of it, and an upgrade
    of ToolHive's chart by server-side apply (Helm 4) would end in a conflict with the reconciler. A field without an
    owner conflicts with nobody. Source: Kubernetes, "Server-Side Apply: Conflicts"; `CustomResourceDefinitionSpec`.
    """
    entries = enumerate(crd["metadata"].get("managedFields") or [])
    own = [index for index, entry in entries if entry.get("manager") == names.FIELD_MANAGER_CRD]
    removals = [{"op": "remove", "path": f"/metadata/managedFields/{index}"} for index in reversed(own)]
    return [_unchanged(crd), *removals] if removals else []


def _unchanged(crd: Object) -> Object:
    """Demand that the CRD is the one that was read: the indices are right for no other."""
    return {"op": "test", "path": "/metadata/resourceVersion", "value": crd["metadata"]["resourceVersion"]}


class CrdExtension:
    """Watches one ToolHive CRD and repairs it."""

    def __init__(self, cluster: Cluster, resource: Resource) -> None:
        self._cluster = cluster
        self._name = crd_name(resource)
        self._changed = asyncio.Event()
        self.served = asyncio.Event()

    def on_change(self, _old: Object | None, new: Object | None) -> None:
        """Note that the CRD changed."""
        self._changed.set()
        if new is not None:
            self.served.set()

    async def run(self, crds: Informer) -> None:
        """Extend the CRD, whenever it lacks the field, until cancelled."""
        self._changed.set()  # whatever came before, also an error, look once
        while True:
            await self._changed.wait()
            self._changed.clear()
            crd = crds.get(("", self._name))
            if crd is None:
                continue
            additions = extension(crd)
            if not (operations := additions or disowning(crd)):
                continue
            manager, extra = names.FIELD_MANAGER_CRD, {"crd": self._name}
            try:
                crds.remember(await self._cluster.patch(CRDS, "", self._name, operations, field_manager=manager))
                if additions:
                    _log.info("added the field to the CRD", extra={**extra, "field": FIELD})
            except errors.ClusterError as error:
                _log.warning("could not add the field to the CRD: trying again", extra={**extra, "error": str(error)})
                await asyncio.sleep(RETRY_SECONDS)
                self._changed.set()


class _Kind:
    """One kind of consumer: caches of its one CRD and of its objects."""

    def __init__(
        self, cluster: Cluster, resource: Resource, on_consumer: OnChange, namespaces: WatchedNamespaces
    ) -> None:
        self.extension = CrdExtension(cluster, resource)
        only = Selector(fields=f"metadata.name={crd_name(resource)}")
        self.schema_changed = asyncio.Event()
        self.crd = Informer(cluster, CRDS, self._on_crd, selector=only, keep=Keeping(kept_objects.definition))
        self.objects = namespaces.informer(cluster, resource, on_consumer, keep=KEEPING[resource.plural])

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


class ToolHive:
    """Everything of ToolHive that the reconciler watches.

    Attributes:
        auth_servers: Those that the watched objects describe.
    """

    def __init__(self, cluster: Cluster, on_consumer: OnChange, namespaces: WatchedNamespaces = WHOLE_CLUSTER) -> None:
        self._kinds = {
            resource.kind: _Kind(cluster, resource, on_consumer, namespaces) for resource in CONSUMER_RESOURCES
        }
        self.auth_servers = AuthServers({name: kind.objects for name, kind in self._kinds.items()})

    def watches(self) -> list[Coroutine[None, None, None]]:
        """Return the coroutines that keep the caches current."""
        kinds = self._kinds.values()
        return [*(kind.crd.run() for kind in kinds), *(kind.watch_objects() for kind in kinds)]

    def extensions(self) -> list[Coroutine[None, None, None]]:
        """Return the coroutines that keep `sessionStorageRef` in the CRDs; only the leader runs them."""
        return [
            keep_running(f"the extension of the CRD of {name}", partial(kind.extension.run, kind.crd))
            for name, kind in self._kinds.items()
        ]

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

    def session_crds(self) -> list[Object]:
        """Return the CRDs that the cluster has of the kinds that keep sessions."""
        kinds = (self._kinds[resource.kind] for resource in SESSION_RESOURCES)
        return [crd for kind in kinds for crd in kind.crd.objects.values()]

    def has_auth_data(self, storage: Key, namespaces: Collection[str]) -> bool | None:
        """Tell whether some auth server in these namespaces keeps its data in a managed storage.

        Returns:
            None if there is none, and the caches may lack one.
        """
        if self.auth_servers.of_storage(storage, namespaces):
            return True
        return False if self.is_known() else None

    def consumer(self, who: Consumer) -> Object | None:
        """Look up a consumer."""
        return self._kinds[who.kind].objects.get((who.namespace, who.name))

    def consumers(self) -> list[Object]:
        """Return all consumers."""
        return [obj for kind in self._kinds.values() for obj in kind.objects.objects.values()]
