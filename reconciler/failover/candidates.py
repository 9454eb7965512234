"""Chooses the instance whose data the storage goes on with when its primary takes no writes. Pure; never a guess.

A server that has just started has no history: nothing it says tells how old the data from its disk is. A server that
has kept running tells by lineage and offset how much it has of its primary's writes, and by its link how long it has
been without that primary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.state.primary_record import FIRST_START

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.instance import Instance

LOST: Final = "PrimaryLost"
RETURNED: Final = "PrimaryReturned"
PRIMARY_MAY_SERVE: Final = "PrimaryMayServe"
"""Reason for which no instance takes over from a primary that may go on taking writes unseen."""

STALE_MARGIN_SECONDS: Final = 2.0
"""How much longer a replica may have been without the primary than the primary has been silent to the reconciler. Both
notice the same death, each up to a second late: the reconciler because it asks once a second, the replica because
Valkey counts whole seconds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The instance to promote, and why that one."""

    instance: Instance
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class NoCandidate:
    """Why the reconciler can promote no instance now, in one CamelCase word and as a sentence.

    Attributes:
        missing: Instances that could settle it by answering.
        best: The instance that probably lacks the fewest writes; None if nothing tells which that is.
    """

    reason: str
    message: str
    missing: tuple[Instance, ...] = ()
    best: Instance | None = None


def choose_candidate(group: ReplicationGroup) -> Candidate | NoCandidate:
    """Choose the instance to promote in a group whose primary takes no writes."""
    loaded = [instance for instance in group.in_order if instance.is_loaded]
    with_data = [instance for instance in loaded if instance.has_data]
    if group.is_complete and len(with_data) == 1:
        (only,) = with_data
        reason = RETURNED if only is group.primary else LOST
        return Candidate(only, reason, f"all instances answer, and only {group.name(only)} has data")
    # An empty instance never goes before one with data: every instance that follows it would empty itself.
    with_history = [instance for instance in with_data or loaded if instance.has_history]
    return _by_history(group, with_history) if with_history else _by_data(group, with_data)


def _by_history(group: ReplicationGroup, with_history: Sequence[Instance]) -> Candidate | NoCandidate:
    newest = _newest(with_history)
    if not newest:
        return NoCandidate("HistoriesDiffer", "no instance has a history that continues those of all others")
    # An instance that is primary already wins a tie: so the reconciler finishes a failover that broke off.
    best = max(newest, key=lambda each: (each.replication.offset, each.is_primary, -each.index))
    primary, name = group.name(group.primary), group.name(best)
    if best is group.primary:
        return Candidate(best, RETURNED, f"{primary} came back, and no instance has more of its history")
    if _has_all_that_replicas_had(best, group) or _lost_primary_just_now(best, group):
        return Candidate(best, LOST, f"{primary} takes no writes, and {name} has most of its history")
    if group.primary.has_data:
        return Candidate(group.primary, RETURNED, f"{primary} came back with its data, some of which {name} may lack")
    message = f"{name} may have stopped following {primary} too early, and lack what other replicas received since"
    return NoCandidate("CandidateBehind", message, group.missing, best)


def _by_data(group: ReplicationGroup, with_data: Sequence[Instance]) -> Candidate | NoCandidate:
    """Choose among instances all of which have just started."""
    primary, name = group.primary, group.name(group.primary)
    if primary.has_data:
        return Candidate(primary, RETURNED, f"{name} came back with its data")
    if not group.is_complete:
        message = "no instance that answers is known to have the newest data"
        return NoCandidate("InstancesMissing", message, group.missing)
    if not with_data:
        return Candidate(primary, FIRST_START, "all instances answer, and none has any data")
    return NoCandidate("DataUnclear", f"{name} is empty, and nothing tells which other instance has newer data")


def _newest(with_history: Sequence[Instance]) -> list[Instance]:
    """Find the instances of the history that continues all others; none if there is no such history."""
    related = [instance for instance in with_history if not _is_unrelated_primary(instance, with_history)]
    for instances in (with_history, related):
        continued = {instance.replication.former_lineage for instance in instances}
        ends = {instance.replication.lineage for instance in instances} - continued
        if len(ends) == 1:
            return [instance for instance in instances if instance.replication.lineage in ends]
    return []


def _is_unrelated_primary(instance: Instance, with_history: Sequence[Instance]) -> bool:
    """Tell whether an instance is a former primary that restarted, and began a history that nobody shares.

    The Service has sent clients elsewhere since, so what other instances followed is newer than what this one read.
    """
    own = {instance.replication.lineage, instance.replication.former_lineage} - {""}
    others = [other.replication for other in with_history if other is not instance]
    theirs = {lineage for other in others for lineage in (other.lineage, other.former_lineage)}
    return instance.is_primary and not own & theirs


def _has_all_that_replicas_had(best: Instance, group: ReplicationGroup) -> bool:
    """Tell whether all instances that could have been replicas are there, and have no more than the best one.

    A redundant primary takes no writes without a replica, so each write reached one of these. An instance that has
    restarted does not count: what it knew is gone. A primary that is meant to be alone gives no such guarantee.
    """
    rest = [instance for instance in group.others if instance is not best]
    lineages = {best.replication.lineage, best.replication.former_lineage}
    return (
        group.preset.is_redundant
        and len(rest) >= max(group.preset.replicas - 2, 1)
        and all(instance.has_history and instance.replication.lineage in lineages for instance in rest)
    )


def _lost_primary_just_now(best: Instance, group: ReplicationGroup) -> bool:
    """Tell whether an instance followed the primary until that died, so that no other one can have much more."""
    if best.is_paused:
        # It is the old primary of a switchover that broke off after the Service was written: it received nothing since.
        return False
    if best.is_primary:
        # An earlier pass found that it had followed to the end, promoted it, and got no further.
        return bool(best.replication.former_lineage)
    # A link that broke when the primary fell silent saw the primary die. A link that only fell silent may have been cut
    # off alone, while the primary went on with a replica that has restarted since, or does not answer.
    broken_for, without_primary_for = best.replication.down_for, best.without_primary_for
    silent_for = group.primary.silent_for
    is_behind = without_primary_for is None or without_primary_for > silent_for + STALE_MARGIN_SECONDS
    return not is_behind and broken_for is not None and broken_for >= silent_for - STALE_MARGIN_SECONDS
