"""Which instance's data is to go on when the recorded primary takes no writes. Pure; never a guess.

A server that starts anew has no history: nothing it says tells how old the data from its disk is. One that has run on
tells by lineage and offset what it has of its primary's writes, and by its link since when it has had no more of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.state.primary_record import FIRST_START

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.failover.members import Member, Situation

LOST: Final = "PrimaryLost"
RETURNED: Final = "PrimaryReturned"

STALE_MARGIN_SECONDS: Final = 2.0
"""How much longer than the primary has been silent to us a replica may have been without it. Both are news of the same
death, each up to a second old: one by the pause between our questions, one by Valkey's counting of whole seconds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The instance to promote, and why that one."""

    member: Member
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why no instance can be promoted now.

    Attributes:
        reason: One CamelCase word.
        message: The same as a sentence.
        missing: Instances that could settle it by answering.
    """

    reason: str
    message: str
    missing: tuple[Member, ...] = ()


def choose(situation: Situation) -> Choice | Doubt:
    """Choose whose data goes on.

    Args:
        situation: In which the recorded primary takes no writes.
    """
    answering = [member for member in situation.members if member.answers]
    holders = [member for member in answering if member.holds_data]
    if situation.is_complete and len(holders) == 1:
        return _sole(situation, holders[0])
    # No empty instance goes before one with data: whatever follows it would be emptied.
    heirs = [member for member in holders or answering if member.has_history]
    return _by_history(situation, heirs) if heirs else _by_data(situation, holders)


def _sole(situation: Situation, holder: Member) -> Choice:
    reason = RETURNED if holder.index == situation.recorded.index else LOST
    return Choice(holder, reason, f"every instance answers, and {holder.name} alone holds data")


def _by_history(situation: Situation, heirs: Sequence[Member]) -> Choice | Doubt:
    newest = _newest(heirs)
    if not newest:
        return Doubt("HistoriesDiffer", "instances hold histories of which none is the continuation of the others")
    # An instance that is primary already wins a tie, so that a failover that broke off is finished, not begun anew.
    best = max(newest, key=lambda each: (each.replication.offset, each.is_primary, -each.index))
    recorded = situation.recorded
    if best.index == recorded.index:
        return Choice(recorded, RETURNED, f"{recorded.name} came back, and no instance has more of its history")
    if _is_vouched_for(best, situation) or _is_fresh(best, situation):
        return Choice(best, LOST, f"{recorded.name} takes no writes; {best.name} has most of its history")
    if recorded.holds_data:
        return Choice(recorded, RETURNED, f"{recorded.name} came back with its data, which {best.name} may lack")
    message = f"{best.name} lost its primary before the primary was lost, and may lack what others have got since"
    return Doubt("CandidateBehind", message, situation.missing)


def _by_data(situation: Situation, holders: Sequence[Member]) -> Choice | Doubt:
    """Choose among instances that have started anew since, all of them."""
    recorded = situation.recorded
    if recorded.holds_data:
        return Choice(recorded, RETURNED, f"{recorded.name} came back with its data")
    if not situation.is_complete:
        return Doubt("InstancesMissing", "no instance that answers is known to have the newest data", situation.missing)
    if not holders:
        return Choice(recorded, FIRST_START, "every instance answers, and none holds any data")
    return Doubt("DataUnclear", f"{recorded.name} is empty, and nothing tells which other instance's data is newer")


def _newest(heirs: Sequence[Member]) -> list[Member]:
    """Find those of the history that continues all others; none if there is no such history."""
    for group in (heirs, [member for member in heirs if not _is_stranger(member, heirs)]):
        continued = {member.replication.former_lineage for member in group}
        ends = {member.replication.lineage for member in group} - continued
        if len(ends) == 1:
            return [member for member in group if member.replication.lineage in ends]
    return []


def _is_stranger(member: Member, heirs: Sequence[Member]) -> bool:
    """Tell whether an instance began a history of its own that nobody shares: a primary of the past that has restarted.

    Clients were sent to the recorded primary since, so what others followed is newer than what this one read.
    """
    ours = {member.replication.lineage, member.replication.former_lineage} - {""}
    others = [other.replication for other in heirs if other.index != member.index]
    theirs = {lineage for other in others for lineage in (other.lineage, other.former_lineage)}
    return member.is_primary and not ours & theirs


def _is_vouched_for(best: Member, situation: Situation) -> bool:
    """Tell whether all whom the primary could have had as replicas are there, and have no more than the best.

    A primary takes no writes without a replica, so it took none that went to none of these. An instance that has
    restarted does not count: what it knew of then is gone. Nor does the fence of a storage that should have one
    instance.
    """
    rest = [member for member in situation.others if member.index != best.index]
    lineages = {best.replication.lineage, best.replication.former_lineage}
    return (
        situation.is_fenced
        and len(rest) >= max(situation.expected - 2, 1)
        and all(member.has_history and member.replication.lineage in lineages for member in rest)
    )


def _is_fresh(best: Member, situation: Situation) -> bool:
    """Tell whether an instance had its primary until that was lost, so that no other can have much more than it has."""
    silent_for, unheard = situation.recorded.silent_for, best.unheard_for
    if best.lets_writes_wait:
        # The primary of the past in a move that broke off after clients were sent on: it got nothing since.
        return False
    if best.is_primary:
        # Promoted by somebody who found it fresh, and got no further.
        return bool(best.replication.former_lineage)
    # Its link broke when the primary fell silent: it saw it die. One that only fell silent may have been cut off alone,
    # and the primary have gone on with a replica that has restarted since, or does not answer.
    broken = best.replication.down_for
    is_behind = unheard is None or unheard > silent_for + STALE_MARGIN_SECONDS
    return not is_behind and broken is not None and broken >= silent_for - STALE_MARGIN_SECONDS
