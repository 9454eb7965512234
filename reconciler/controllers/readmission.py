"""Sends objects through admission again: the webhook alone injects, and only a write makes the API server call it.

The write replaces the object's injection record with a placeholder. The webhook puts the true record back in the same
request, so that nothing of the placeholder remains.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared import errors, names
from shared.consumers.injection_record import RECORD_PATH
from shared.objects.field_path import pointer
from shared.objects.resources import key_of
from shared.objects.timestamps import written_precisely

if TYPE_CHECKING:
    from shared.kubernetes.client import Cluster
    from shared.objects.resources import Key, Object, Resource

FIRST_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 60.0
"""The longest that an object waits once the webhook is back, however long the webhook was away."""

_log = logging.getLogger(__name__)


class Readmissions:
    """Readmits objects, each one less and less often while that changes nothing."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pauses: dict[tuple[str, Key], tuple[float, datetime]] = {}

    def forget(self, resource: Resource, key: Key) -> None:
        """Start over with an object that is as it should be, or gone: its next readmission does not wait."""
        self._pauses.pop((resource.kind, key), None)

    async def readmit(self, resource: Resource, obj: Object, now: datetime) -> float:
        """Readmit an object, unless its pause since the last time is not over.

        Returns:
            Seconds after which to reconcile the object again.

        Raises:
            ClusterError: A transient error; the caller tries again with a growing pause.
        """
        key = key_of(obj)
        pause, due = self._pauses.get((resource.kind, key), (FIRST_PAUSE_SECONDS, now))
        if now < due:
            return (due - now).total_seconds()
        longer = min(pause * 2, MAX_PAUSE_SECONDS)
        self._pauses[resource.kind, key] = longer, now + timedelta(seconds=pause)
        extra = {"object": f"{resource.kind} {'/'.join(key)}"}
        try:
            await self._cluster.patch(resource, *key, _placeholder(obj, now), field_manager=names.FIELD_MANAGER)
            _log.info("asked the webhook to review an object again", extra=extra)
        except (errors.Rejected, errors.Forbidden, errors.NotFound) as error:
            _log.warning("could not ask the webhook to review an object again", extra={**extra, "error": str(error)})
        return pause


def _placeholder(obj: Object, now: datetime) -> list[Object]:
    metadata = obj["metadata"]
    text = json.dumps({"asked": written_precisely(now)})
    same = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    if not metadata.get("annotations"):
        return [same, {"op": "add", "path": "/metadata/annotations", "value": {names.ANNOTATION_INJECTION: text}}]
    return [same, {"op": "add", "path": pointer(RECORD_PATH), "value": text}]
