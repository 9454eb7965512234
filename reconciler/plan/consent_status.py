"""What a storage's conditions say of a failover that waits for a person, and of that person's consent. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.failover.consent import FAILOVER_BLOCKED, OUTDATED
from reconciler.failover.decision import FailoverBlocked, LookAgain, NewPrimary
from shared import names
from shared.objects.conditions import Finding

if TYPE_CHECKING:
    from reconciler.failover.decision import Decision
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.session_storage import DeclaredStorage

CONSENT_ACCEPTED: Final = "ConsentAccepted"


def failover_blocked(storage: DeclaredStorage, decision: Decision) -> Finding | None:
    """Tell that a person has to decide on a failover, or that nobody has to any more.

    The time at which this becomes true tells incidents apart. So it stays true until the primary serves again, another
    instance takes over, or this process cannot tell whether it still is the same incident.
    """
    if isinstance(decision, FailoverBlocked):
        return Finding(FAILOVER_BLOCKED, "True", decision.reason, decision.message)
    if (told := storage.condition(FAILOVER_BLOCKED)) is None:
        return None
    is_same = (isinstance(decision, NewPrimary) and decision.consent) or (
        isinstance(decision, LookAgain) and decision.is_still_out
    )
    if told.status == "True" and is_same:
        return Finding(FAILOVER_BLOCKED, "True", told.reason, told.message)
    return Finding(FAILOVER_BLOCKED, "False", "Decided", "nothing is in the way of a failover")


def consent_accepted(storage: DeclaredStorage, group: ReplicationGroup, decision: Decision) -> Finding | None:
    """Tell what has become of the consent that a person gave; None if there is none."""
    given = storage.requests.promotion
    if not given:
        return None
    if group.service is not None and given == group.service.last_change.used:
        message = f"the reconciler has promoted an instance by {given}, which counts for nothing from now on"
        return Finding(CONSENT_ACCEPTED, "True", "Used", message)
    if isinstance(decision, NewPrimary) and decision.consent == given:
        return Finding(CONSENT_ACCEPTED, "True", "Promotes", decision.message)
    prefix = f"{names.ANNOTATION_PROMOTE}={given}"
    if isinstance(decision, FailoverBlocked) and (objection := decision.objection) is not None:
        message = f"{prefix}: {objection.message}; {decision.way_out}"
        return Finding(CONSENT_ACCEPTED, "False", objection.reason, message)
    told = storage.condition(CONSENT_ACCEPTED)
    if isinstance(decision, LookAgain) and decision.is_still_out and told is not None:
        return Finding(CONSENT_ACCEPTED, told.status, told.reason, told.message)
    command = f"kubectl annotate -n {storage.namespace} sessionstorage {storage.name} {names.ANNOTATION_PROMOTE}-"
    message = f"{prefix}: no failover waits for a consent, so it counts for nothing; to take it away, run `{command}`"
    return Finding(CONSENT_ACCEPTED, "False", OUTDATED, message)
