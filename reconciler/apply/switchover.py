"""Moves the primary from one live instance to another: no acknowledged write is lost, clients reconnect once.

The order makes a switchover safe wherever it breaks off.

    claim     this process owns the switchover; nothing has changed yet
    pause     clients' writes wait at the old primary; the pause ends by itself, even if this process dies
    offset    the new primary has every write that clients know to be done
    hold      a longer pause replaces the first one, so that remains true
    promote   there are two primaries, but clients get to the old one only, where writes wait: they notice nothing yet
    attach    the other instances follow the new one: without a replica, a redundant primary would take no writes
    point     the Service sends new connections to the new one, unless another process has taken the claim away
    reach     this process sees a new connection by the Service get there
    retire    clients of the old one, whose writes wait there unanswered, connect again and get to the new one
    follow    the old one becomes a replica, and ends its pause

Why writes wait to the end, instead of being refused (`min-replicas-to-write` above any number of replicas would refuse
them): Valkey checks its fence before its pause, so each client that writes on a connection which was idle until then
would get an error, for as long as the Service takes to change. A client whose write waits gets none. For the same
reason the old primary's own fence is open while writes wait.

Until the Service is written, the process that has the claim can undo everything. From then on nobody can: the API
server may have written the Service even if its answer is an error. The next pass repairs a switchover that broke off.
The Service says which of two primaries is the primary, and the other one follows it; or the reconciler takes the claim
away and has the old primary take writes again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.runtime.waiting import within
from reconciler.valkey.replication import replication_session, try_to_follow
from shared import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.actions.valkey import SwitchOver
    from reconciler.apply.service_claim import ServiceClaim
    from reconciler.state.replication_info import Replication
    from reconciler.valkey.replication import ReplicationSession

PAUSE_SECONDS: Final = 5.0
"""How long writes wait if this process dies before it knows that the new primary has all that came before."""
HOLD_SECONDS: Final = 600.0
"""How long they wait if this process dies later: longer than another process takes to lead (15 s), and longer than an
API server is away for an update of its own. A write that the old primary took after that could be lost."""
LIMIT_SECONDS: Final = 10.0
"""How long a switchover may take in all: less than a Lease lasts (15 s), so no other leader interferes."""
CATCH_UP_SECONDS: Final = 1.0
"""A replica that is in sync has the last write within a millisecond; one that hangs must not keep clients waiting."""
ATTACH_SECONDS: Final = 0.3
"""A replica that continues its history with another primary takes some milliseconds."""
REACH_SECONDS: Final = 3.0
"""kube-proxy takes about 0.05 s, and up to its sync period of 1 s after another change."""
RETIRE_PAUSES_SECONDS: Final = (0.02, 0.05, 0.05, 0.05)
"""Pauses after each of which the old primary closes its clients' sessions: another node's kube-proxy may be later than
that of this one. A client that comes back meanwhile connects once more than need be, and must neither wait long nor
meet a replica."""
_POLL_SECONDS: Final = 0.002

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SwitchoverResult:
    """How a switchover went, with figures in seconds since writes began to wait.

    Attributes:
        aborted: Why the primary did not move; empty if it did.
        held: When the new primary had every write.
        promoted: When the new primary could take writes.
        pointed: When the Service was written.
        reached: When a new connection got to the new primary.
        total: When the old primary was a replica.
    """

    aborted: str = ""
    held: float = 0.0
    promoted: float = 0.0
    pointed: float = 0.0
    reached: float = 0.0
    total: float = 0.0


async def switch_over(step: SwitchOver, service: ServiceClaim) -> SwitchoverResult:
    """Move the primary; if that raises an error, the next pass repairs what it leaves.

    Raises:
        ClusterError: The claim, or the Service, could not be written.
        SessionStoreError: The old primary did not do what it was told, or the switchover took too long.
    """
    await service.claim()
    try:
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            replication_session(*step.old.endpoint) as old,
            replication_session(*step.new.endpoint) as new,
        ):
            return await _switch_over(step, service, old, new)
    except TimeoutError as error:
        message = f"the reconciler could not make {step.new.address} the primary in {LIMIT_SECONDS:g} s"
        raise errors.StoreUnreachable(message) from error


async def _switch_over(
    step: SwitchOver, service: ServiceClaim, old: ReplicationSession, new: ReplicationSession
) -> SwitchoverResult:
    if reason := await _prepare(step, old, new):
        await service.release()
        return SwitchoverResult(aborted=reason)
    elapsed = _stopwatch()
    if reason := await _hold(old, new, elapsed):
        return await _undo(step, service, old, reason)
    held = elapsed()
    if reason := await _promote(step, new):
        return await _undo(step, service, old, reason)
    promoted = elapsed()
    await service.point()
    pointed = elapsed()
    run_id = await new.run_id()
    # A client sent away sooner would come back to the old primary. If this takes too long, clients have to try again.
    await within(REACH_SECONDS, lambda: service.reaches(run_id), _POLL_SECONDS)
    reached = elapsed()
    await _retire(step, old)
    return SwitchoverResult("", held, promoted, pointed, reached, elapsed())


async def _prepare(step: SwitchOver, old: ReplicationSession, new: ReplicationSession) -> str:
    """Log in to both, and check that it makes sense to have clients wait.

    Returns:
        Why it makes no sense; empty if it does.
    """
    history = await old.replication()
    if history.upstream:
        return f"{step.old.address} is no primary"
    try:
        # A replica that has just got a full copy says that it is linked, and receives nothing for a second.
        if not await _has_all(new, history):
            return f"{step.new.address} is not in sync with {step.old.address}"
        await new.fence(step.fence)
    except errors.SessionStoreError as error:
        return str(error)
    return ""


async def _hold(old: ReplicationSession, new: ReplicationSession, elapsed: Callable[[], float]) -> str:
    """Have writes wait until the new primary has all that came before, and then for as long as need be.

    Returns:
        Why the new primary may lack a write; empty if it has all.
    """
    await old.pause(PAUSE_SECONDS)
    try:
        # From here on the old primary adds nothing but PINGs to replicas.
        if not await _has_all(new, await old.replication()):
            return f"the new primary did not catch up within {CATCH_UP_SECONDS:g} s"
    except errors.SessionStoreError as error:
        return str(error)
    await old.pause(HOLD_SECONDS)
    # With its fence, the old primary would refuse writes once its replicas leave it: Valkey checks the fence first.
    await old.fence(0)
    # The stopwatch began before the first pause, which may have ended before the second one began.
    return "" if elapsed() < PAUSE_SECONDS else "the old primary may have taken writes meanwhile"


async def _has_all(replica: ReplicationSession, history: Replication) -> bool:
    async def has_all() -> bool:
        return (await replica.replication()).has_all_of(history)

    return await within(CATCH_UP_SECONDS, has_all, _POLL_SECONDS)


async def _promote(step: SwitchOver, new: ReplicationSession) -> str:
    """Make the new primary ready for clients.

    Returns:
        Why it may not be ready; empty if it is.
    """

    async def has_replicas() -> bool:
        replicas = (await new.replication()).replicas
        return sum(replica.is_online for replica in replicas) >= step.fence

    try:
        await new.promote()
        for instance in step.others:
            await try_to_follow(instance, step.new.address, step.replication)
        if not await within(ATTACH_SECONDS if step.others else 0, has_replicas, _POLL_SECONDS):
            # Its only replica is to be the old primary, which cannot follow yet. The next pass sets the fence again.
            await new.fence(0)
    except errors.SessionStoreError as error:
        return str(error)
    return ""


async def _retire(step: SwitchOver, old: ReplicationSession) -> None:
    """Have clients of the old primary leave it for the new one, and make it a replica."""
    try:
        # Before it becomes a replica: for an instant a new replica answers nothing, and reads do not wait as writes do.
        for pause in RETIRE_PAUSES_SECONDS:
            await asyncio.sleep(pause)
            await old.disconnect_clients()
        await old.follow(step.new.address, step.replication)
        await old.fence(step.fence)
    except errors.SessionStoreError as error:
        extra = {"instance": step.old.address, "error": str(error)}
        _log.warning("the old primary does not follow the new one yet", extra=extra)


async def _undo(step: SwitchOver, service: ServiceClaim, old: ReplicationSession, reason: str) -> SwitchoverResult:
    """Have the old primary go on as before, if this process still has the claim.

    Raises:
        ClusterError: This process has lost the claim, or cannot tell; writes wait until the next pass repairs it.
        SessionStoreError: The old primary does not answer.
    """
    await service.release()
    await old.fence(step.fence)
    await old.resume()
    # The new primary may have been promoted, or be promoted when it wakes up. It has no clients.
    await try_to_follow(step.new, step.old.address, step.replication)
    return SwitchoverResult(aborted=reason)


def _stopwatch() -> Callable[[], float]:
    """Begin to measure; the result tells the seconds since."""
    began = time.monotonic()
    return lambda: time.monotonic() - began
