"""Decides whether another instance becomes primary, by what the instances and the API server show. Pure.

What a failover can lose. Replication is asynchronous: a primary answers a client before its replicas have the write. A
write that the best replica had not received when the primary died is lost; usually these are the writes of the last
milliseconds. A primary that is cut off from all replicas, but not from a client, goes on answering that client until
Valkey's own fence closes (`FENCE_SECONDS`); those writes are lost as well. A write that had reached all instances is
kept as long as one instance that has it is left: the reconciler promotes no instance without it over one that is known
to have it. Where it cannot tell, it promotes none, and asks a person.

What the reconciler waits for. The fence closes only if the primary has no replica left. So a primary that does not
answer may still take writes together with a replica that does not answer the reconciler either; then the reconciler
promotes none. It is as if a majority had to agree: of three instances, two always include one that took part in every
write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.failover.candidates import PRIMARY_MAY_SERVE, Candidate, NoCandidate, choose_candidate
from reconciler.failover.consent import Consent, Objection, Outage, judge_consent, way_out
from reconciler.state import pod_status
from shared import names

if TYPE_CHECKING:
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.instance import Instance

FENCE_SECONDS: Final = 4.5
"""After so long, a primary without replicas takes no writes. Valkey counts a replica until that has been silent for
more than `min-replicas-max-lag`, 3 whole seconds, which is up to 4 by the clock; it counts once a second, and a replica
speaks once a second. So the fence closes 2 to 5 s after the last word got through; 2.7 to 4.5 s were measured (32
times, Valkey 9.1.2). If it rarely takes longer, that costs no further write: what a primary takes alone is lost
whenever another one is promoted, so the reconciler waits no longer."""
URGENT_TIMEOUT_SECONDS: Final = 0.3
"""How long the reconciler waits for the answer of an instance that is silent already, while others could take over."""
STOPPING_SECONDS: Final = 0.03
"""How soon the reconciler looks again at a primary that is stopping; its connections close within milliseconds, and a
look takes some."""
STILL_HEARD_SECONDS: Final = 0.5
"""How soon the reconciler looks again at a primary that replicas hear and it does not. Replicas say in whole seconds
when they last heard the primary, so a look may come an instant too early; the heartbeat calls for the next one two
seconds later."""
MISSING_SECONDS: Final = 1.0
"""How often the reconciler looks while it waits for an instance to come back."""
PRIMARY_SILENT: Final = "PrimarySilent"
"""Reason for which the reconciler waits until the fence of a primary has closed that nobody hears."""
SCRIPT_RUNS: Final = "ScriptRuns"
ENDING_SECONDS: Final = 0.2
"""How soon the reconciler looks again at an instance whose script it has ended; Valkey takes milliseconds for that."""
ENDLESS_SECONDS: Final = 5.0
"""How long a script that has written may go on, after the two seconds in which Valkey answered nobody, before another
instance takes over, or else its server starts again: its writes are lost then."""
BY_HAND: Final = "PromotedByHand"


@dataclass(frozen=True, slots=True)
class KeepPrimary:
    """The recorded primary remains primary; the reason is empty if all is well with it."""

    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The reconciler cannot decide yet, and looks again after some seconds.

    Attributes:
        is_still_out: Whether the primary has been out for so long, as this process saw itself, that a failover which
            was blocked before is blocked still: an instance that comes and goes begins no new incident.
    """

    seconds: float
    reason: str
    message: str
    is_still_out: bool = False


@dataclass(frozen=True, slots=True)
class NewPrimary:
    """Make an instance primary: it may be the recorded primary itself, which came back as a replica.

    Attributes:
        consent: The value of the annotation `promote` by which a person chose it; empty if none did.
    """

    instance: Instance
    reason: str
    message: str
    consent: str = ""


@dataclass(frozen=True, slots=True)
class FailoverBlocked:
    """Only a person, or an instance that comes back, can settle it.

    Attributes:
        message: The facts and what to do. It has no figure that changes from look to look.
        way_out: The part of the message that says what to do.
        objection: Why the consent that a person gave does not settle it; None if nobody gave one.
    """

    reason: str
    message: str
    way_out: str = ""
    objection: Objection | None = None


Decision: TypeAlias = KeepPrimary | LookAgain | NewPrimary | FailoverBlocked


NO_CONSENT: Final = Consent()
UNREPORTED: Final = Outage()


def decide_primary(group: ReplicationGroup, consent: Consent = NO_CONSENT, outage: Outage = UNREPORTED) -> Decision:
    """Decide which instance has to be primary.

    Args:
        group: All instances that there are, or should be.
        consent: The instance that a person wants promoted if nothing else helps (annotation `promote`).
        outage: What a consent has to name.
    """
    if group.primary.is_primary:
        return KeepPrimary()
    if group.primary.problem == "busy":
        return _while_a_script_runs(group)
    found = _reason_not_to_promote(group) or choose_candidate(group)
    if isinstance(found, Candidate):
        return NewPrimary(found.instance, found.reason, found.message)
    if isinstance(found, NoCandidate):
        return _without_candidate(group, found, consent, outage)
    return found


def _while_a_script_runs(group: ReplicationGroup) -> Decision:
    """Decide about a primary that a script keeps busy: it lives, and takes no writes until the script ends.

    If the reconciler ends the script, nothing is lost. A script that has written cannot be ended. Its own writes reach
    no replica before it is over, but all that came before it has: so a replica can take over once all of them are there
    to compare. If one is missing, the primary keeps its place, and starts again: its file has all writes too.
    """
    name = group.name(group.primary)
    if not group.primary.has_endless_script or group.primary.busy_for < ENDLESS_SECONDS:
        return LookAgain(ENDING_SECONDS, SCRIPT_RUNS, f"a script of a consumer keeps {name} from serving anybody else")
    found = choose_candidate(group)
    if group.unaccounted or not isinstance(found, Candidate):
        return KeepPrimary(
            SCRIPT_RUNS, f"{name} is busy with a script that only a restart can end, and no replica may take over"
        )
    message = f"{name} is busy with a script that cannot be ended, and {group.name(found.instance)} has all before it"
    return NewPrimary(found.instance, SCRIPT_RUNS, message)


def _reason_not_to_promote(group: ReplicationGroup) -> KeepPrimary | LookAgain | NoCandidate | None:
    """Say why the recorded primary may still take writes, or may come to; None if it cannot."""
    primary, name = group.primary, group.name(group.primary)
    if primary.responds:  # and says that it is a replica, or still reads its data
        return None
    if not group.others and not group.preset.is_redundant:
        return KeepPrimary("OnlyInstance", f"{name} does not answer, and is the only instance")
    if primary.problem == "refused":
        return KeepPrimary("CredentialRefused", f"{name} runs, and does not let the reconciler in")
    if not (hearing := group.name(*group.hearing)):
        return _reason_to_fear_unseen_writes(group)
    if primary.is_gone or primary.problem == "down":
        return LookAgain(STOPPING_SECONDS, "PrimaryStops", f"{name} is stopping, and {hearing} still hears it")
    message = f"{name} does not answer the reconciler, but {hearing} still hears it"
    return LookAgain(STILL_HEARD_SECONDS, "UnreachableByUs", message)


def _reason_to_fear_unseen_writes(group: ReplicationGroup) -> LookAgain | NoCandidate | None:
    """Say why a primary that neither the reconciler nor a replica hears may go on taking writes; None if it cannot."""
    primary, name = group.primary, group.name(group.primary)
    # The API may call a server gone that runs on a node which is cut off, as when somebody deleted its pod by force. A
    # replica's link tells the two apart: it breaks when the server ends, and only falls silent when the network does.
    if primary.is_gone and not group.linked:
        return None
    if not group.preset.is_redundant or group.unaccounted:
        message = f"{name} may still take writes, alone or together with instances that do not answer the reconciler"
        return NoCandidate(PRIMARY_MAY_SERVE, message, (primary, *group.unaccounted))
    if primary.is_gone or primary.problem == "down" or primary.silent_for >= FENCE_SECONDS:
        return None
    message = f"{name} does not answer; it stops taking writes by itself within {FENCE_SECONDS:g} s"
    # The next look may wait for an answer until its timeout, so it begins early enough to end as the fence closes.
    wait = max(FENCE_SECONDS - primary.silent_for - URGENT_TIMEOUT_SECONDS, STOPPING_SECONDS)
    return LookAgain(wait, PRIMARY_SILENT, message)


def _without_candidate(group: ReplicationGroup, problem: NoCandidate, consent: Consent, outage: Outage) -> Decision:
    """Decide whether time settles it, or a person has to."""
    if group.primary.is_loading_as_primary:
        # Its file may hold writes that it never sent to a replica, and nothing shows that another instance has as much.
        return KeepPrimary("LoadingData", f"{group.name(group.primary)} is reading its data from disk")
    waiting = f"; waiting for {group.name(*problem.missing)}" if problem.missing else ""
    limit = pod_status.START_LIMIT.total_seconds()
    if any(instance.silent_for < limit for instance in problem.missing):
        is_still_out = group.primary.silent_for >= limit
        return LookAgain(MISSING_SECONDS, problem.reason, f"{problem.message}{waiting}", is_still_out)
    incident = outage.incident(problem.reason)
    judged = judge_consent(group, problem, consent, incident)
    if not isinstance(judged, Objection | None):
        message = f"{consent.instance} was named by {names.ANNOTATION_PROMOTE}"
        return NewPrimary(judged, BY_HAND, message, str(consent))
    seen = "; ".join(_summary(group, instance) for instance in group.in_order)
    what_to_do = way_out(group, problem, incident)
    message = f"{problem.message}{waiting} ({seen}): {what_to_do}"
    return FailoverBlocked(problem.reason, message, what_to_do, judged)


def _summary(group: ReplicationGroup, instance: Instance) -> str:
    """Sum up an instance, for a person who has to choose, in facts that stand still."""
    name = group.name(instance)
    if not instance.is_loaded:
        state = "loads" if instance.responds else "is gone" if instance.is_gone else "does not answer"
        return f"{name} {state}"
    replication = instance.replication
    if instance.is_primary or instance.hears_primary:
        role = "considers itself the primary" if instance.is_primary else "follows another instance"
        return f"{name} {role}, in history {replication.lineage[:8]}"
    has_history = replication.has_history
    history = f"offset {replication.offset} of {replication.lineage[:8]}" if has_history else "no history"
    return f"{name} has {replication.keys} keys, {history}"
