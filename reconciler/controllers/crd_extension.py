"""Keeps `spec.sessionStorageRef` in ToolHive's CRDs: with the stock schema, the API server prunes it before admission.

The property has no type, so that users can write a string or an object. An upgrade of ToolHive's chart replaces the
versions of a CRD and so drops the property; the reconciler then adds it again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shared import errors, names
from shared.consumers.toolhive import spec_properties
from shared.objects.resources import CRDS, Object, Resource

if TYPE_CHECKING:
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer

FIELD: Final = "sessionStorageRef"
PROPERTY: Final[Object] = {
    "description": "SessionStorage to keep this server's sessions in: its name, or an object with name and namespace.",
    "x-kubernetes-preserve-unknown-fields": True,
}
RETRY_SECONDS: Final = 5.0

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
    if not additions:
        return []
    # The indices are right only for the object that was read.
    same = {"op": "test", "path": "/metadata/resourceVersion", "value": crd["metadata"]["resourceVersion"]}
    return [same, *additions]


_PROPERTIES: Final = "/schema/openAPIV3Schema/properties/spec/properties"


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
        while True:
            await self._changed.wait()
            self._changed.clear()
            crd = crds.get(("", self._name))
            if crd is None or not (operations := extension(crd)):
                continue
            try:
                manager = names.FIELD_MANAGER_CRD
                crds.remember(await self._cluster.patch(CRDS, "", self._name, operations, field_manager=manager))
                _log.info("added the field to the CRD", extra={"crd": self._name, "field": FIELD})
            except errors.ClusterError as error:
                _log.warning(
                    "could not add the field to the CRD: trying again", extra={"crd": self._name, "error": str(error)}
                )
                await asyncio.sleep(RETRY_SECONDS)
                self._changed.set()
