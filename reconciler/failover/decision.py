"""Whether another instance becomes primary, decided on what the instances and the API server show. Pure.

What can be lost. Replication is asynchronous: a primary answers a client before its replicas have the write. A write
that its best replica had not received when the primary died is lost, usually those of the last milliseconds. A primary
that is cut off from all replicas, but not from a client, goes on answering it until the engine's fence closes
(`FENCE_SECONDS`); those writes are lost as well. A write that had reached all instances is kept as long as one instance
that has it is left: no instance without it is promoted over one that is known to have it, and where that cannot be
told, nobody is promoted, and a person is asked.

What is waited for. The fence closes only if the primary has no replica left. So a primary that does not answer may
still take writes together with a replica that does not answer us either; nobody is promoted then. It is as if a
majority had to agree, and of three instances two always have at least one that took part in every write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.failover.candidates import Choice, Doubt, choose
from reconciler.failover.members import Situation
from reconciler.state import pod_status
from reconciler.state.instance import HASTY_SECONDS
from shared import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.failover.members import Member

FENCE_SECONDS: Final = 4.5
"""After which a primary without replicas takes no writes. Valkey counts a replica until it has been silent for more
than `min-replicas-max-lag`, 3 whole seconds, which is up to 4 by the clock; it counts once a second, and a replica
speaks once a second. So the fence closes 2 to 5 s after the last word got through; 2.7 to 4.5 s were measured (32
times, Valkey 9.1.2). A rare longer one costs no write more: what a primary takes alone is lost whenever another one is
promoted, which is why it is given no longer."""
AGAIN_SECONDS: Final = 0.03
"""How soon a primary is looked at again that is on its way down; its connections close within milliseconds, and a look
takes some."""
HEARD_SECONDS: Final = 0.5
"""How soon one is looked at again that replicas hear and we do not. They say in whole seconds when they last heard it,
so that a look may come an instant too early; the pulse calls for the next one two seconds later."""
MISSING_SECONDS: Final = 1.0
"""How often it is looked while an instance that should come back has not."""
BY_HAND: Final = "PromotedByHand"


@dataclass(frozen=True, slots=True)
class Stay:
    """The recorded primary remains so; the reason is empty if all is well with it."""

    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """It cannot be told yet; look again after so many seconds."""

    seconds: float
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Promote:
    """Make an instance primary: it may be the recorded one itself, which came back as a replica."""

    index: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """Only an instance that comes back, or a person, can settle it; the message says what is known, and what to do."""

    reason: str
    message: str


Decision: TypeAlias = Stay | Wait | Promote | Blocked


def decide(primary: int, members: Sequence[Member], expected: int, asked: str = "") -> Decision:
    """Decide who has to be primary.

    Args:
        primary: Number of the instance that clients are sent to; it is among the members.
        members: All instances that there are, or should be.
        expected: How many instances the storage should have.
        asked: StatefulSet of the instance that a person wants promoted if nothing else helps.
    """
    recorded = next(member for member in members if member.index == primary)
    if recorded.is_primary:
        return Stay()
    others = tuple(member for member in members if member.index != primary)
    situation = Situation(recorded, others, expected)
    found = _hindrance(situation) or choose(situation)
    if isinstance(found, Choice):
        return Promote(found.member.index, found.reason, found.message)
    if isinstance(found, Doubt):
        return _doubted(situation, found, asked)
    return found


def fence(primary: int, members: Iterable[Member], expected: int) -> int:
    """Tell without how many replicas the primary is to take no writes; any doubt leaves the fence up.

    Args:
        primary: Number of the instance.
        members: All instances that there are, or should be.
        expected: How many instances the storage should have. One that should have one takes writes alone, even while a
            second one is being made.
    """
    others = [member for member in members if member.index != primary]
    return 0 if expected == 1 or all(member.is_gone for member in others) else 1


def unheard_for(primary: int, members: Sequence[Member]) -> float:
    """Tell how long ago a primary gave its last sign of life, to us or to a replica that tells us of it.

    Whoever asks instances keeps the latest of these instants: a primary that only we cannot reach goes on taking
    writes, and a replica that was cut off when we were must not pass for one that had them all.

    Args:
        primary: Number of the instance that clients are sent to; it is among the members.
        members: With `silent_for` as far as it is known without this.
    """
    recorded = next(member for member in members if member.index == primary)
    others = tuple(member for member in members if member.index != primary)
    linked = Situation(recorded, others, len(others) + 1).linked
    # Valkey cuts seconds off: the sign came up to one earlier than it says.
    return min([recorded.silent_for, *((member.replication.silence or 0) + 1.0 for member in linked)])


def _hindrance(situation: Situation) -> Stay | Wait | Doubt | None:
    """Tell what speaks against promoting anybody at all: that the recorded primary may still take writes."""
    recorded, hearing = situation.recorded, situation.hearing
    if recorded.speaks:  # and says that it is a replica, or still reads its data
        return None
    if not situation.others and situation.expected == 1:
        return Stay("OnlyInstance", f"{recorded.name} does not answer, and is the only instance")
    if recorded.report.problem == "refused":
        return Stay("CredentialRefused", f"{recorded.name} runs, and does not let the operator in")
    if not hearing:
        return _afterglow(situation)
    if recorded.is_gone or recorded.is_down:
        return Wait(AGAIN_SECONDS, "PrimaryStops", f"{recorded.name} stops, and is still heard by {_list(hearing)}")
    message = f"{recorded.name} does not answer us, and is heard by {_list(hearing)}"
    return Wait(HEARD_SECONDS, "UnreachableByUs", message)


def _afterglow(situation: Situation) -> Wait | Doubt | None:
    """Tell whether a primary that neither we nor its replicas hear may go on taking writes unheard."""
    recorded = situation.recorded
    # The API may call a server gone that runs on a node which is cut off, as when its pod was deleted by force. A
    # replica's link tells: it breaks when the server ends, and only falls silent when the network does.
    if recorded.is_gone and not situation.linked:
        return None
    if not situation.is_fenced or situation.unaccounted:
        message = f"{recorded.name} may still take writes, alone or together with others that do not answer us"
        return Doubt("PrimaryMayServe", message, (recorded, *situation.unaccounted))
    if recorded.is_gone or recorded.is_down or recorded.silent_for >= FENCE_SECONDS:
        return None
    message = f"{recorded.name} does not answer; it stops taking writes by itself within {FENCE_SECONDS:g} s"
    # The next look asks it once more, for as long as it is given; what that shows is to be decided on in time.
    wait = max(FENCE_SECONDS - recorded.silent_for - HASTY_SECONDS, AGAIN_SECONDS)
    return Wait(wait, "PrimarySilent", message)


def _doubted(situation: Situation, doubt: Doubt, asked: str) -> Decision:
    """Say what becomes of a doubt: time settles it, or a person."""
    recorded = situation.recorded
    if recorded.loads_as_primary:
        # Its file may hold writes that no replica was ever sent, and nobody else is known to have as much.
        return Stay("LoadingData", f"{recorded.name} is reading its data from disk")
    told = f"{doubt.message}; waiting for {_list(doubt.missing)}" if doubt.missing else doubt.message
    if any(member.silent_for < pod_status.START_LIMIT.total_seconds() for member in doubt.missing):
        return Wait(MISSING_SECONDS, doubt.reason, told)
    if wanted := next((member for member in situation.members if asked == member.name and member.answers), None):
        return Promote(wanted.index, BY_HAND, f"{wanted.name} was named by {names.ANNOTATION_PROMOTE}")
    seen = "; ".join(_seen(member) for member in situation.members)
    step = f"to promote one that answers all the same, annotate this storage with {names.ANNOTATION_PROMOTE}=<name>"
    return Blocked(doubt.reason, f"{told} ({seen}): {step}")


def _list(members: Iterable[Member]) -> str:
    return ", ".join(member.name for member in members)


def _seen(member: Member) -> str:
    """Sum up an instance, for a person who has to choose."""
    if not member.answers:
        state = "loads" if member.speaks else "is gone" if member.is_gone else "does not answer"
        return f"{member.name} {state}"
    seen = member.replication
    history = f"offset {seen.offset} of {seen.lineage[:8]}" if seen.has_history else "no history"
    unheard = member.unheard_for
    since = f", without a primary for {unheard:g} s" if unheard is not None else ""
    return f"{member.name} has {seen.keys} keys, {history}{since}"
