"""Writes Events (events.k8s.io/v1) about storages, consumers and certificates.

No Event is the only signal of what it reports.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Final

from shared import errors
from shared.objects.resources import EVENTS, Object
from shared.objects.timestamps import written_precisely

if TYPE_CHECKING:
    from shared.kubernetes.client import Cluster
    from shared.objects.events import EventNote

CONTROLLER: Final = "toolhive.stacklok.dev/session-storage"
MAX_NOTE: Final = 1024
"""Limit of the field `note`."""

_log = logging.getLogger(__name__)


class EventRecorder:
    """Writes one Event for each change of state, so it has no repetitions to count."""

    def __init__(self, cluster: Cluster, instance: str) -> None:
        self._cluster = cluster
        self._instance = instance

    async def record(self, regarding: Object, note: EventNote) -> None:
        """Write an Event, or log why that failed: the change that it reports has happened anyway."""
        metadata = regarding["metadata"]
        event = {
            "metadata": {"namespace": metadata["namespace"], "name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}"},
            "eventTime": written_precisely(self._cluster.clock.now()),
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
