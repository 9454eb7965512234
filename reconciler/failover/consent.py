"""A person's consent to lose writes: which instance to go on with, and in which incident. Pure.

A consent belongs to one incident. The annotation `promote` names both, as the condition `FailoverBlocked` prints them.
So a value that somebody forgot on a storage decides nothing in a later incident, in which the same instance may be
months behind.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from reconciler.failover.candidates import PRIMARY_MAY_SERVE
from shared import names
from shared.objects.timestamps import written

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from reconciler.failover.candidates import NoCandidate
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.instance import Instance
    from reconciler.state.primary_service import PrimaryService
    from reconciler.state.session_storage import DeclaredStorage

FAILOVER_BLOCKED: Final = "FailoverBlocked"
"""Type of the condition that asks for a consent."""
OUTDATED: Final = "OutdatedConsent"
_DIGITS: Final = 10
"""Hexadecimal digits of an incident's name: nobody meets the same one by chance, and a person can compare two."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What tells one outage of a storage's primary from every other one; it stays the same from look to look.

    Attributes:
        storage: UID of the storage.
        last_change: The last finished change of its primary: when, and to which instance.
        since: When the condition `FailoverBlocked` became true, by the API server's clock.
    """

    storage: str = ""
    last_change: str = ""
    since: str = ""

    @classmethod
    def of(cls, storage: DeclaredStorage, service: PrimaryService | None, now: datetime) -> Self:
        """Read what the last status and the primary record say; an outage that nobody has reported begins now."""
        blocked = storage.condition(FAILOVER_BLOCKED)
        is_known = blocked is not None and blocked.status == "True"
        since = blocked.last_transition_time if blocked is not None and is_known else now
        # Not the epoch: that also counts attempts, and one that failed must not use a consent up.
        change = service.last_change if service is not None else None
        return cls(storage.uid, f"{change.ended} {change.to}" if change is not None else "", written(since))

    def incident(self, reason: str) -> str:
        """Name the incident: another reason would lose something else, so it needs another consent."""
        text = f"{self.storage}\n{self.last_change}\n{self.since}\n{reason}"
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person wrote into the annotation `promote`: `<instance>@<incident>`.

    Attributes:
        instance: StatefulSet of the instance to promote; empty if there is no annotation.
        incident: Empty if the value names none, as values of former releases do.
    """

    instance: str = ""
    incident: str = ""

    @classmethod
    def of(cls, text: str) -> Self:
        """Read the annotation's value."""
        instance, _, incident = text.partition("@")
        return cls(instance, incident)

    def __str__(self) -> str:
        return f"{self.instance}@{self.incident}"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a consent counts for nothing, or not yet, in one CamelCase word and as a sentence."""

    reason: str
    message: str


def judge_consent(
    group: ReplicationGroup, problem: NoCandidate, consent: Consent, incident: str
) -> Instance | Objection | None:
    """Find the instance that a consent allows to promote; None if nobody gave any.

    While the primary may still take writes, no consent counts. The instance that it names would take none itself: its
    fence waits for a replica. And what is cut off would be emptied into it as soon as the network heals.
    """
    name = consent.instance
    if not name and not consent.incident:
        return None
    if consent.incident != incident or problem.reason == PRIMARY_MAY_SERVE:
        return Objection(OUTDATED, "it does not name the present incident, so it counts for nothing")
    chosen = next((each for each in group.in_order if group.name(each) == name), None)
    if chosen is None:
        return Objection("UnknownInstance", f"this storage has no instance {name}")
    return _needless_loss(group, chosen) or chosen


def _needless_loss(group: ReplicationGroup, chosen: Instance) -> Objection | None:
    """Say why an instance cannot take over, or what would be lost with it that need not be; None if nothing would."""
    name = group.name(chosen)
    if not chosen.is_loaded:
        return Objection("InstanceNotReady", f"{name} does not answer, or reads its data; the reconciler waits")
    if not chosen.has_data and any(each.has_data for each in group.instances):
        return Objection("InstanceEmpty", f"{name} is empty: all instances that follow it would empty themselves too")
    if (ahead := _ahead_of(chosen, group.in_order)) is not None:
        return Objection("InstanceBehind", f"{group.name(ahead)} has all that {name} has, and more: name that one")
    return None


def recommended(group: ReplicationGroup, problem: NoCandidate) -> Instance | None:
    """Choose the instance that probably lacks least; None if none answers.

    By facts that stand still: the order of two that lost their primary within the same second would change from look to
    look.
    """
    loaded = [each for each in group.in_order if each.is_loaded]
    with_data = [each for each in loaded if each.has_data]
    able = [each for each in with_data if _ahead_of(each, with_data) is None] or loaded
    if problem.best is not None and problem.best in able:
        return problem.best
    return max(able, key=_standing, default=None)


def _standing(instance: Instance) -> tuple[bool, bool, int, int]:
    # One that took itself for a primary may have taken nothing from anybody since.
    return not instance.is_primary, instance.has_history, instance.replication.keys, -instance.index


def _ahead_of(chosen: Instance, instances: Iterable[Instance]) -> Instance | None:
    """Find an instance that has the whole history of another one, and more of it."""
    own = chosen.replication
    ahead = [
        each
        for each in instances
        if each.has_data and chosen.has_history and each.replication.lineage == own.lineage
        if each.replication.offset > own.offset
    ]
    return max(ahead, key=lambda each: each.replication.offset, default=None)


def way_out(group: ReplicationGroup, problem: NoCandidate, incident: str) -> str:
    """Say what a person can do, what that loses, and the command to copy."""
    best = recommended(group, problem)
    if problem.reason == PRIMARY_MAY_SERVE:
        return _way_to_certainty(group, best)
    if best is None:
        return "no instance answers; the reconciler goes on once one comes back"
    consent = Consent(group.name(best), incident)
    if best is problem.best:
        what = "probably lacks least"
    else:
        what = "has most data of those that answer" if best.has_data else "has no data, nor has any other that answers"
    return (
        f"the reconciler recommends {consent.instance}, which {what}; the storage then loses {_loss(best)}. To promote"
        f" it, run `{promotion(group, consent)}`"
    )


def promotion(group: ReplicationGroup, consent: Consent) -> str:
    """Write the command that gives a consent."""
    namespace, storage = group.storage
    return f"kubectl annotate -n {namespace} sessionstorage {storage} {names.ANNOTATION_PROMOTE}={consent} --overwrite"


def _loss(best: Instance) -> str:
    replication = best.replication
    if best.is_primary or not best.has_history:
        return "every write that only others have"
    return f"every write that it never received: those after offset {replication.offset} of {replication.lineage[:8]}"


def _way_to_certainty(group: ReplicationGroup, best: Instance | None) -> str:
    """Say how a person lets the reconciler know that a primary takes no writes any more."""
    lost = [each for each in (group.primary, *group.unaccounted) if not each.is_gone]
    namespace, storage = group.storage
    pods = " ".join(names.valkey_pod(storage, each.index) for each in lost)
    after = f"; {group.name(best)} could take over then, without {_loss(best)}" if best is not None else ""
    if not lost:
        return f"bring the network back{after}"
    command = f"kubectl delete pod -n {namespace} {pods} --force --grace-period=0"
    return f"bring them back or, if their nodes are lost for good, delete their pods: `{command}`{after}"
