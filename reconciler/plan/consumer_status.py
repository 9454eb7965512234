"""What a stored consumer needs: a readmission by the webhook, or a condition that says what is wrong. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.consumers.access import UNADMITTED, is_admitted
from shared.consumers.injection import desired_of_stored
from shared.consumers.stored_consumer import StoredConsumer
from shared.errors import InvalidSpec
from shared.objects.conditions import Finding, condition_of
from shared.objects.resources import is_terminating
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.consumers.identity import Usage
    from shared.consumers.targets import Target
    from shared.objects.resources import Key, Object

RESOLVED: Final = "SessionStorageResolved"
"""Type of the condition on consumers. The reconciler writes it only once there is a problem to report."""


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """What to do about one consumer.

    Attributes:
        needs_readmission: Whether the stored object differs from what the webhook would make of it.
        finding: The condition to write into its status; None if its status says so already.
    """

    needs_readmission: bool = False
    finding: Finding | None = None


def consumer_status(consumer: Object, storages: Mapping[Key, Object], default_target: Target) -> ConsumerStatus:
    """Tell what a stored consumer needs."""
    if is_terminating(consumer):
        return ConsumerStatus()
    # The API server does not call the webhook for some namespaces: a readmission there would change nothing, ever.
    is_admissible = consumer["metadata"].get("namespace") not in UNADMITTED
    try:
        stored = StoredConsumer.of(consumer)
        needs_readmission = is_admissible and desired_of_stored(stored, storages, default_target) != consumer
    except InvalidSpec as error:
        return ConsumerStatus(
            finding=_unless_reported(consumer, Finding(RESOLVED, "False", "Contradiction", str(error)))
        )
    return ConsumerStatus(needs_readmission, _unless_reported(consumer, _finding(stored.usage, storages)))


def age_seconds(consumer: Object, now: datetime) -> float:
    """Tell how long ago a consumer was created."""
    return (now - parse_time(consumer["metadata"]["creationTimestamp"])).total_seconds()


def _finding(usage: Usage | None, storages: Mapping[Key, Object]) -> Finding:
    if usage is None:
        return Finding(RESOLVED, "True", "NotReferred", "the consumer refers to no SessionStorage")
    name, storage = "/".join(usage.storage), storages.get(usage.storage)
    if storage is None:
        message = (
            f"SessionStorage {name} does not exist: create it, or take the reference out; pods that start now wait for"
            " its Secret"
        )
        return Finding(RESOLVED, "False", "StorageNotFound", message)
    if not is_admitted(storage, usage):
        message = (
            f"SessionStorage {name} is not shared with this namespace: have it added to the storage's"
            ' spec.allowedNamespaces, or let somebody with the right to "use" the storage take the reference out and'
            " put it in again"
        )
        return Finding(RESOLVED, "False", "NotPermitted", message)
    return Finding(RESOLVED, "True", "Resolved", f"the consumer may use SessionStorage {name}")


def _unless_reported(consumer: Object, finding: Finding) -> Finding | None:
    """Drop a finding that the status reports already, and one without a problem where none was reported."""
    reported = condition_of(consumer, RESOLVED)
    if reported is None:
        return finding if finding.status == "False" else None
    same = (reported.get("status"), reported.get("reason"), reported.get("message"))
    return None if same == (finding.status, finding.reason, finding.message) else finding
