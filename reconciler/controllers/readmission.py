"""Asks the webhook to look at an object again: the webhook alone wires, and it is asked by a write to the object.

To be asked is to have one's record overwritten with a question; the webhook answers in the same request with the true
record, so nothing of the question remains.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared import errors, names
from shared.objects.field_path import pointer
from shared.objects.resources import key_of
from shared.objects.timestamps import written_precisely

if TYPE_CHECKING:
    from shared.kubernetes.verbs import Patcher
    from shared.objects.resources import Key, Object, Resource

FIRST_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 60.0
"""How long an object may wait once the webhook is back, however long that was away."""

_log = logging.getLogger(__name__)


class Questions:
    """Puts questions about objects, each less and less often if that changes nothing."""

    def __init__(self, cluster: Patcher) -> None:
        self._cluster = cluster
        self._pauses: dict[tuple[str, Key], tuple[float, datetime]] = {}

    def settle(self, resource: Resource, key: Key) -> None:
        """Take an object for answered, or gone: the next question about it is the first."""
        self._pauses.pop((resource.kind, key), None)

    async def ask(self, resource: Resource, obj: Object, now: datetime) -> float:
        """Ask about an object, unless it was asked about a moment ago.

        Returns:
            Seconds after which to look again.

        Raises:
            ClusterError: Something transient; to be tried again with a growing pause.
        """
        key = key_of(obj)
        pause, due = self._pauses.get((resource.kind, key), (FIRST_PAUSE_SECONDS, now))
        if now < due:
            return (due - now).total_seconds()
        longer = min(pause * 2, MAX_PAUSE_SECONDS)
        self._pauses[resource.kind, key] = longer, now + timedelta(seconds=pause)
        extra = {"object": f"{resource.kind} {'/'.join(key)}"}
        try:
            await self._cluster.patch(resource, *key, _question(obj, now), field_manager=names.FIELD_MANAGER)
            _log.info("asked for another look", extra=extra)
        except (errors.Rejected, errors.Forbidden, errors.NotFound) as error:
            _log.warning("not looked at again", extra={**extra, "error": str(error)})
        return pause


def _question(obj: Object, now: datetime) -> list[Object]:
    metadata = obj["metadata"]
    text = json.dumps({"asked": written_precisely(now)})
    same = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    if not metadata.get("annotations"):
        return [same, {"op": "add", "path": "/metadata/annotations", "value": {names.ANNOTATION_WIRED: text}}]
    path = pointer(("metadata", "annotations", names.ANNOTATION_WIRED))
    return [same, {"op": "add", "path": path, "value": text}]
