"""Looks after consumers: has those looked at again that slipped by the webhook, and tells the others why they wait.

The webhook alone wires, because it alone knows who asks.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from reconciler.plan.consumer_status import RESOLVED, age_seconds, attention
from shared import errors, names
from shared.consumers.identity import Consumer
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.objects.conditions import condition_of, conditions
from shared.objects.events import EventNote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.controllers.readmission import Questions
    from reconciler.runtime.event_recorder import Recorder
    from shared.consumers.targets import Target
    from shared.kubernetes.verbs import Applier
    from shared.objects.conditions import Finding
    from shared.objects.resources import Key, Object

GRACE_SECONDS: Final = 5.0
"""How long a consumer may be ahead of its storage, as when both are applied at once, before anything is said."""

_RESOURCES: Final = {resource.kind: resource for resource in CONSUMER_RESOURCES}
_log = logging.getLogger(__name__)


class Announcements:
    """Tells consumers, in their own status and by Events, how it stands with their storage."""

    def __init__(self, cluster: Applier, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder

    async def tell(self, who: Consumer, consumer: Object, finding: Finding, now: datetime) -> None:
        """Write a condition and its Event; a consumer that is gone, or whose status is refused, is told nothing.

        Raises:
            ClusterError: Something transient.
        """
        said = condition_of(consumer, RESOLVED)
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


class Caretaker:
    """Makes passes over consumers."""

    def __init__(
        self,
        questions: Questions,
        announcements: Announcements,
        find: Callable[[Consumer], Object | None],
        storages: Mapping[Key, Object],
        default_target: Target,
    ) -> None:
        self._questions = questions
        self._announcements = announcements
        self._find = find
        self._storages = storages
        self._default_target = default_target

    async def look(self, key: tuple[str, ...]) -> float | None:
        """Do one pass over a consumer.

        Returns:
            Seconds after which to look again without an event, or None if nothing is to be seen by then.

        Raises:
            ClusterError: Something transient; to be tried again with a growing pause.
        """
        who = Consumer(*key)
        resource, consumer = _RESOURCES[who.kind], self._find(who)
        if consumer is None:
            self._questions.settle(resource, (who.namespace, who.name))
            return None
        needed, now = attention(consumer, self._storages, self._default_target), datetime.now(UTC)
        again = None
        if needed.is_stale:
            again = await self._questions.ask(resource, consumer, now)
        else:
            self._questions.settle(resource, (who.namespace, who.name))
        if needed.finding is None:
            return again
        if needed.finding.reason == "StorageNotFound" and (age := age_seconds(consumer, now)) < GRACE_SECONDS:
            return min(again or GRACE_SECONDS, GRACE_SECONDS - age)
        await self._announcements.tell(who, consumer, needed.finding, now)
        return again
