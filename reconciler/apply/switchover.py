"""Moves the primary from one live instance to another: no acknowledged write is lost, clients reconnect once.

The order is what makes it safe wherever it breaks off.

    claim     one owner; nothing has changed yet
    pause     clients' writes wait at the old primary; the pause ends by itself, whatever becomes of us
    offset    the candidate has every write that was ever acknowledged
    hold      the pause no longer ends by itself, so that will remain true
    promote   two primaries, but clients get to the old one only, where writes wait: still nothing has changed
    attach    the others follow the new one: without a replica, a redundant primary would take no writes
    point     the Service sends new connections to the new one; if the claim has gone, it does not
    reach     until they are seen to get there
    away      clients of the old one, whose writes wait there unanswered, connect again and get to the new one
    follow    the old one becomes a replica, and lets nobody wait any more

Why writes wait to the end, and are not refused (`min-replicas-to-write` higher than any number of replicas would do
that): Valkey looks at its fence before it looks at its pause, so that each client that writes on a connection which was
idle until then would get an error, for as long as the Service takes to change. One that waits gets none. For the same
reason the old primary's own fence is open while writes wait.

Before the Service is told, all can be undone, by whoever still has the claim. From then on it cannot: even an answer
that says no may be wrong about what was written. What broke off is put right by the next look: the Service says which
of two primaries is one; the other one follows, or writes are taken again after the claim was taken from whoever had it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.valkey import replication
from shared import errors
from shared.names import VALKEY_PORT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from reconciler.credentials.login import Login
    from reconciler.state.replication_info import Replication
    from reconciler.valkey.replication import ReplicationSession

PAUSE_SECONDS: Final = 5.0
"""How long writes wait if we die before the candidate is known to have all of them."""
HOLD_SECONDS: Final = 600.0
"""How long they wait if we die later: longer than it takes another one to lead (15 s), and than an API server is away
for an update of its own. A write that the old primary took after that could be lost."""
LIMIT_SECONDS: Final = 10.0
"""How long a move may take in all. Nobody else leads before a lease is over, so within it nobody else has moved on."""
CATCH_UP_SECONDS: Final = 1.0
"""A replica that is in sync has the last write within a millisecond; one that hangs must not keep clients waiting."""
ATTACH_SECONDS: Final = 0.3
"""A replica that goes on with another primary from where it is takes some milliseconds."""
REACH_SECONDS: Final = 3.0
"""kube-proxy takes about 0.05 s, and up to its sync period of 1 s after another change."""
PARTING_SECONDS: Final = (0.02, 0.05, 0.05, 0.05)
"""Pauses after which clients are sent away, again and again: another node's kube-proxy may be later than the one that
we asked by. Who comes back meanwhile connects once more than need be, and must neither wait long nor meet a replica."""
_LOOK_SECONDS: Final = 0.002

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """An instance, and how the operator gets in."""

    address: str
    operator: Login


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be done.

    Attributes:
        old: The primary.
        new: Which becomes it.
        others: Instances that follow.
        replication: How they log in to their primary.
        fence: `min-replicas-to-write` that a primary of the storage is to have.
    """

    old: Place
    new: Place
    others: tuple[Place, ...]
    replication: Login
    fence: int


class World(Protocol):
    """What is outside Valkey."""

    async def claim(self) -> None:
        """Write down what is to happen, or raise Conflict."""

    async def release(self) -> None:
        """Write down that it does not happen, or raise Conflict if the claim is no longer there."""

    async def point(self) -> None:
        """Send new connections to the new primary, or raise Conflict if the claim is no longer there."""

    async def reaches(self, run_id: str) -> bool:
        """Tell whether a new connection by the Service's address gets to a server."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went.

    Attributes:
        aborted: Why nothing was changed; empty if the primary was moved.
        held: Seconds after which the candidate had every write; these and the others since writes began to wait.
        promoted: Until it could take writes.
        pointed: Until the Service was told.
        reached: Until a new connection was seen to get there.
        total: Until the old primary was a replica.
    """

    aborted: str = ""
    held: float = 0.0
    promoted: float = 0.0
    pointed: float = 0.0
    reached: float = 0.0
    total: float = 0.0


class _Clock:
    """Tells the seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


async def switch_over(move: Move, world: World) -> Outcome:
    """Move the primary.

    Raises:
        ClusterError: The claim, or the Service, could not be written; what that leaves is put right by the next look.
        SessionStoreError: The old primary did not do what it was told, or all of it took too long; as before.
    """
    await world.claim()
    try:
        async with asyncio.timeout(LIMIT_SECONDS), _told(move.old) as old, _told(move.new) as new:
            return await _move(move, world, old, new)
    except TimeoutError as error:
        raise errors.StoreUnreachable(f"{move.new.address} was not made primary in {LIMIT_SECONDS:g} s") from error


async def _move(move: Move, world: World, old: ReplicationSession, new: ReplicationSession) -> Outcome:
    if reason := await _prepare(move, old, new):
        await world.release()
        return Outcome(aborted=reason)
    clock = _Clock()
    if reason := await _hold(old, new, clock):
        return await _undo(move, world, old, reason)
    held = clock.seconds
    if reason := await _promote(move, new):
        return await _undo(move, world, old, reason)
    promoted = clock.seconds
    await world.point()
    pointed = clock.seconds
    run_id = await new.run_id()
    # Who was sent away sooner would come back to the old one. If it takes too long, they will have to try again.
    await _within(REACH_SECONDS, lambda: world.reaches(run_id))
    reached = clock.seconds
    await _retire(move, old)
    return Outcome("", held, promoted, pointed, reached, clock.seconds)


async def _prepare(move: Move, old: ReplicationSession, new: ReplicationSession) -> str:
    """Log in to both, and find whether there is any sense in having clients wait.

    Returns:
        What is against it; empty if nothing.
    """
    history = await old.replication()
    if history.upstream:
        return f"{move.old.address} is no primary"
    try:
        # A replica that was just copied says that it is linked, and is sent nothing for a second.
        if not await _has_all(new, history):
            return f"{move.new.address} is not in sync with {move.old.address}"
        await new.fence(move.fence)
    except errors.SessionStoreError as error:
        return str(error)
    return ""


async def _hold(old: ReplicationSession, new: ReplicationSession, clock: _Clock) -> str:
    """Have writes wait until the candidate has all that came before, and then for as long as need be.

    Returns:
        Why it did not come to that; empty if it did.
    """
    await old.pause(PAUSE_SECONDS)
    try:
        # From here on nothing is added but PINGs to replicas.
        if not await _has_all(new, await old.replication()):
            return f"the candidate did not catch up within {CATCH_UP_SECONDS:g} s"
    except errors.SessionStoreError as error:
        return str(error)
    await old.pause(HOLD_SECONDS)
    # Or it would refuse writes as soon as its replicas leave it, and not let them wait: Valkey looks at that first.
    await old.fence(0)
    # The first pause began after the clock did. If it may have ended before the second one began, writes were taken.
    return "" if clock.seconds < PAUSE_SECONDS else "the old primary may have taken writes meanwhile"


async def _has_all(replica: ReplicationSession, history: Replication) -> bool:
    async def has_all() -> bool:
        own = await replica.replication()
        return own.is_linked and own.lineage == history.lineage and own.offset >= history.offset

    return await _within(CATCH_UP_SECONDS, has_all)


async def _promote(move: Move, new: ReplicationSession) -> str:
    """Have the new primary ready for clients.

    Returns:
        Why it may not be; empty if it is.
    """

    async def has_replicas() -> bool:
        replicas = (await new.replication()).replicas
        return sum(replica.is_online for replica in replicas) >= move.fence

    try:
        await new.promote()
        for place in move.others:
            await have_follow(place, move.new, move.replication)
        if not await _within(ATTACH_SECONDS if move.others else 0, has_replicas):
            # The old one is to be its only replica, and is still needed. The next look sets the fence again.
            await new.fence(0)
    except errors.SessionStoreError as error:
        return str(error)
    return ""


async def _retire(move: Move, old: ReplicationSession) -> None:
    """Have clients of the old primary leave it for the new one, and make it a replica."""
    try:
        # Before it becomes a replica: for an instant one answers nothing, and reads do not wait as writes do.
        for pause in PARTING_SECONDS:
            await asyncio.sleep(pause)
            await old.send_clients_away()
        await old.follow(move.new.address, move.replication)
        await old.fence(move.fence)
    except errors.SessionStoreError as error:
        _log.warning("the old primary does not follow", extra={"instance": move.old.address, "error": str(error)})


async def _undo(move: Move, world: World, old: ReplicationSession, reason: str) -> Outcome:
    """Have the old primary go on as if nothing had been, unless that is no longer for us to say.

    Raises:
        ClusterError: It is not, or nobody can tell: all is left to the next look, and writes wait for it.
        SessionStoreError: The old primary does not answer.
    """
    await world.release()
    await old.fence(move.fence)
    await old.resume()
    # It may have been promoted, or yet be when it wakes up. It has no clients.
    await have_follow(move.new, move.old, move.replication)
    return Outcome(aborted=reason)


async def have_follow(place: Place, primary: Place, replication: Login) -> None:
    """Make an instance a replica of another one, if it can be told."""
    try:
        async with _told(place) as instance:
            await instance.follow(primary.address, replication)
    except errors.SessionStoreError as error:
        # Nobody waits for it: the next look puts it right.
        _log.warning("an instance does not follow", extra={"instance": place.address, "error": str(error)})


async def _within(seconds: float, is_so: Callable[[], Awaitable[bool]]) -> bool:
    """Look again and again until something is so, or time is up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                if await is_so():
                    return True
                await asyncio.sleep(_LOOK_SECONDS)
    return False


def _told(place: Place) -> AbstractAsyncContextManager[ReplicationSession]:
    return replication.told(place.address, VALKEY_PORT, place.operator)
