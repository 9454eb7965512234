"""Reconciles consumers: readmits those that the webhook missed, and tells the others why they are not connected.

The webhook alone injects, because it alone knows who made a reference.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.plan.consumer_status import RESOLVED, age_seconds, consumer_status
from shared import errors, names
from shared.consumers.identity import Consumer
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.objects.conditions import condition_of, conditions
from shared.objects.events import EventNote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from reconciler.controllers.readmission import Readmissions
    from reconciler.runtime.event_recorder import EventRecorder
    from shared.consumers.targets import Target
    from shared.kubernetes.client import Cluster
    from shared.objects.conditions import Finding
    from shared.objects.resources import Key, Object

GRACE_SECONDS: Final = 5.0
"""How long a storage may be missing before the reconciler tells its consumer: a user may apply both in one go."""

_RESOURCES: Final = {resource.kind: resource for resource in CONSUMER_RESOURCES}
_log = logging.getLogger(__name__)


class ConsumerStatusWriter:
    """Writes the condition about a consumer's storage into that consumer's status, and an Event beside it."""

    def __init__(self, cluster: Cluster, recorder: EventRecorder) -> None:
        self._cluster = cluster
        self._recorder = recorder

    async def write(self, who: Consumer, consumer: Object, finding: Finding, now: datetime) -> None:
        """Write a condition and its Event; neither, if the consumer is gone or the API server rejects its status.

        Raises:
            ClusterError: A transient error.
        """
        existing = condition_of(consumer, RESOLVED)
        generation = consumer["metadata"].get("generation", 0)
        written = conditions([finding], [existing] if existing else [], generation, now)
        metadata = {"namespace": who.namespace, "name": who.name, "uid": consumer["metadata"]["uid"]}
        body = {"metadata": metadata, "status": {"conditions": written}}
        manager = names.FIELD_MANAGER_STATUS
        started = time.monotonic()
        try:
            await self._cluster.apply(_RESOURCES[who.kind], body, field_manager=manager, subresource="status")
        except (errors.Rejected, errors.NotFound) as error:
            failed = {"reason": finding.reason, "error": str(error)}
            _log.warning("could not write the condition of a consumer", extra=failed)
            return
        changed = {finding.type: f"{finding.status} {finding.reason}"}
        seconds = round(time.monotonic() - started, 3)
        done = {"reason": finding.reason, "conditions": changed, "seconds": seconds}
        _log.info("reconciled a consumer", extra=done)
        is_good = finding.status == "True"
        note = EventNote("Normal" if is_good else "Warning", finding.reason, finding.message)
        await self._recorder.record(consumer, note)


@dataclass(frozen=True, slots=True)
class ConsumerReconciler:
    """Reconciles consumers, one at a time.

    Attributes:
        clock: The API server's clock, which also dates the consumers.
    """

    readmissions: Readmissions
    status_writer: ConsumerStatusWriter
    find: Callable[[Consumer], Object | None]
    storages: Mapping[Key, Object]
    default_target: Target
    clock: Callable[[], datetime]

    async def reconcile(self, key: tuple[str, ...]) -> float | None:
        """Reconcile one consumer.

        Returns:
            Seconds after which to reconcile it again without an event; None if only an event is a reason to.

        Raises:
            ClusterError: A transient error; the caller tries again with a growing pause.
        """
        who = Consumer(*key)
        resource, consumer = _RESOURCES[who.kind], self.find(who)
        if consumer is None:
            self.readmissions.forget(resource, (who.namespace, who.name))
            return None
        status, now = consumer_status(consumer, self.storages, self.default_target), self.clock()
        again = None
        if status.needs_readmission:
            again = await self.readmissions.readmit(resource, consumer, now)
        else:
            self.readmissions.forget(resource, (who.namespace, who.name))
        if status.finding is None:
            return again
        if status.finding.reason == "StorageNotFound" and (age := age_seconds(consumer, now)) < GRACE_SECONDS:
            return min(again or GRACE_SECONDS, GRACE_SECONDS - age)
        await self.status_writer.write(who, consumer, status.finding, now)
        return again
