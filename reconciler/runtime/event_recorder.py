"""Events about storages and consumers (events.k8s.io/v1): what `kubectl describe` shows. Never the only signal."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from shared import errors
from shared.objects.resources import EVENTS, Object, Resource
from shared.objects.timestamps import written_precisely

if TYPE_CHECKING:
    from shared.objects.events import EventNote

CONTROLLER: Final = "toolhive.stacklok.dev/session-storage"
MAX_NOTE: Final = 1024
"""Limit of the field `note`."""

_log = logging.getLogger(__name__)


class Creator(Protocol):
    """The one write that an Event needs."""

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Create an object."""


class EventRecorder:
    """Writes one Event for each change of state; nothing is repeated, so nothing needs to be counted."""

    def __init__(self, cluster: Creator, instance: str) -> None:
        self._cluster = cluster
        self._instance = instance

    async def record(self, regarding: Object, note: EventNote) -> None:
        """Write an Event; a failure is logged, because what it tells of has happened all the same."""
        metadata = regarding["metadata"]
        event = {
            "metadata": {"namespace": metadata["namespace"], "name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}"},
            "eventTime": written_precisely(datetime.now(UTC)),
            "type": note.type,
            "reason": note.reason,
            "note": note.note[:MAX_NOTE],
            "action": "Reconcile",
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        }
        try:
            await self._cluster.create(EVENTS, event)
        except errors.ClusterError as error:
            _log.warning("could not write an Event", extra={"reason": note.reason, "error": str(error)})
