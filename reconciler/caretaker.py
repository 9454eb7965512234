"""Looks after consumers: asks the webhook to look again at those that slipped by, and tells the others why they wait.

The webhook alone wires, because it alone knows who asks. To be asked again is to have one's record overwritten with a
question; the webhook answers in the same request with the true record, so nothing of the question remains.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.attention import Attention, age_seconds, attention, condition_of
from reconciler.status import EventNote
from shared import errors, names
from shared.conditions import conditions
from shared.consumer_index import Consumer
from shared.toolhive import CONSUMER_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.conditions import Finding
    from shared.resources import Key, Object, Resource
    from shared.target import Target

GRACE_SECONDS: Final = 5.0
"""How long a consumer may be ahead of its storage, as when both are applied at once, before anything is said."""
FIRST_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 300.0

_RESOURCES: Final = {resource.kind: resource for resource in CONSUMER_RESOURCES}
_log = logging.getLogger(__name__)


class Writer(Protocol):
    """The writes that it takes."""

    async def patch(
        self, resource: Resource, namespace: str, name: str, operations: list[Object], *, field_manager: str
    ) -> Object:
        """Apply RFC 6902 operations."""

    async def apply(self, resource: Resource, obj: Object, *, field_manager: str, subresource: str = "") -> Object:
        """Apply an object server-side."""


class Recorder(Protocol):
    """Tells people what happened."""

    async def record(self, regarding: Object, note: EventNote) -> None:
        """Write one Event about an object."""


class Caretaker:
    """Makes passes over consumers."""

    def __init__(
        self,
        cluster: Writer,
        recorder: Recorder,
        find: Callable[[Consumer], Object | None],
        storages: Mapping[Key, Object],
        default_target: Target,
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._find = find
        self._storages = storages
        self._default_target = default_target
        self._pauses: dict[Consumer, tuple[float, datetime]] = {}

    async def look(self, key: tuple[str, ...]) -> float | None:
        """Do one pass over a consumer.

        Returns:
            Seconds after which to look again without an event, or None if nothing is to be seen by then.

        Raises:
            ClusterError: Something transient; to be tried again with a growing pause.
        """
        who = Consumer(*key)
        consumer = self._find(who)
        if consumer is None:
            self._pauses.pop(who, None)
            return None
        needed, now = attention(consumer, self._storages, self._default_target), datetime.now(UTC)
        again = await self._ask(who, consumer, needed, now)
        if needed.finding is None:
            return again
        if needed.finding.reason == "StorageNotFound" and (age := age_seconds(consumer, now)) < GRACE_SECONDS:
            return min(again or GRACE_SECONDS, GRACE_SECONDS - age)
        await self._tell(who, consumer, needed.finding, now)
        return again

    async def _ask(self, who: Consumer, consumer: Object, needed: Attention, now: datetime) -> float | None:
        """Ask the webhook to look again; less and less often if that changes nothing."""
        if not needed.is_stale:
            self._pauses.pop(who, None)
            return None
        pause, due = self._pauses.get(who, (FIRST_PAUSE_SECONDS, now))
        if now < due:
            return (due - now).total_seconds()
        later = datetime.fromtimestamp(now.timestamp() + pause, UTC)
        self._pauses[who] = min(pause * 2, MAX_PAUSE_SECONDS), later
        try:
            manager = names.FIELD_MANAGER
            question = _question(consumer, now)
            await self._cluster.patch(_RESOURCES[who.kind], who.namespace, who.name, question, field_manager=manager)
            _log.info("asked for another look", extra={"consumer": str(who)})
        except (errors.Rejected, errors.Forbidden, errors.NotFound) as error:
            _log.warning("not looked at again", extra={"consumer": str(who), "error": str(error)})
        return pause

    async def _tell(self, who: Consumer, consumer: Object, finding: Finding, now: datetime) -> None:
        said = condition_of(consumer)
        generation = consumer["metadata"].get("generation", 0)
        written = conditions([finding], [said] if said else [], generation, now)
        metadata = {"namespace": who.namespace, "name": who.name, "uid": consumer["metadata"]["uid"]}
        body = {"metadata": metadata, "status": {"conditions": written}}
        manager = names.FIELD_MANAGER_STATUS
        try:
            await self._cluster.apply(_RESOURCES[who.kind], body, field_manager=manager, subresource="status")
        except (errors.Rejected, errors.NotFound) as error:
            _log.warning("condition not written", extra={"consumer": str(who), "error": str(error)})
            return
        is_good = finding.status == "True"
        note = EventNote("Normal" if is_good else "Warning", finding.reason, finding.message)
        await self._recorder.record(consumer, note)


def _question(consumer: Object, now: datetime) -> list[Object]:
    metadata = consumer["metadata"]
    text = json.dumps({"asked": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")})
    same = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    if not metadata.get("annotations"):
        return [same, {"op": "add", "path": "/metadata/annotations", "value": {names.ANNOTATION_WIRED: text}}]
    path = "/metadata/annotations/" + names.ANNOTATION_WIRED.replace("/", "~1")
    return [same, {"op": "add", "path": path, "value": text}]
