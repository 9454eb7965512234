"""Writes what there is to tell about a storage: its status, and Events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import names
from shared.objects.resources import SESSION_STORAGES, Object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.runtime.event_recorder import EventRecorder
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.events import EventNote


class StatusWriter:
    """Tells the users of a storage about it, and lets the cache know at once what the API server answered."""

    def __init__(self, cluster: Cluster, storages: Informer, recorder: EventRecorder) -> None:
        self._cluster = cluster
        self._storages = storages
        self._recorder = recorder

    async def tell(self, storage: Object, status: Object | None, events: Iterable[EventNote]) -> None:
        """Write a status, unless it is None, and Events.

        Raises:
            ClusterError: The API server did not take the status.
        """
        if status is not None:
            await self._write(storage, status)
        for note in events:
            await self._recorder.record(storage, note)

    async def _write(self, storage: Object, status: Object) -> None:
        # The uid keeps the status of a deleted storage from going to a new one of the same name.
        metadata = {field: storage["metadata"][field] for field in ("name", "namespace", "uid")}
        body = {"metadata": metadata, "status": status}
        manager = names.FIELD_MANAGER_STATUS
        answer = await self._cluster.apply(SESSION_STORAGES, body, field_manager=manager, subresource="status")
        self._storages.remember(answer)
