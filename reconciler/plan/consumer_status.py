"""What a consumer needs from us: another look by the webhook, or a word on why it is not connected. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.consumers.access import UNADMITTED, is_admitted
from shared.consumers.injection import project
from shared.consumers.usage_index import usage_of
from shared.errors import InvalidSpec
from shared.objects.conditions import Finding, condition_of
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.consumers.identity import Usage
    from shared.consumers.targets import Target
    from shared.objects.resources import Key, Object

RESOLVED: Final = "SessionStorageResolved"
"""Type of the condition on consumers; written only once there is something to complain of."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What to do about one consumer.

    Attributes:
        is_stale: Whether it does not look as it should.
        finding: What to say of it in its own status; None if there is nothing to say.
    """

    is_stale: bool = False
    finding: Finding | None = None


def attention(consumer: Object, storages: Mapping[Key, Object], default_target: Target) -> Attention:
    """Tell what a stored consumer needs."""
    if consumer["metadata"].get("deletionTimestamp"):
        return Attention()
    try:
        # The webhook is not called for namespaces that it leaves alone: a question there would get no answer, ever.
        is_judged = consumer["metadata"].get("namespace") not in UNADMITTED
        is_stale = is_judged and project(consumer, storages, default_target) != consumer
    except InvalidSpec as error:
        return Attention(finding=_news(consumer, Finding(RESOLVED, "False", "Contradiction", str(error))))
    return Attention(is_stale, _news(consumer, _finding(usage_of(consumer), storages)))


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
    return Finding(RESOLVED, "True", "Resolved", f"SessionStorage {name} may be used")


def _news(consumer: Object, finding: Finding) -> Finding | None:
    """Drop what has been said already, and good news where there was no bad."""
    said = condition_of(consumer, RESOLVED)
    if said is None:
        return finding if finding.status == "False" else None
    same = (said.get("status"), said.get("reason"), said.get("message"))
    return None if same == (finding.status, finding.reason, finding.message) else finding
