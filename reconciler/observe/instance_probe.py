"""Asks a Valkey instance what it says of itself, and whether it lets the reconciler and consumers in."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from reconciler.credentials import identities
from reconciler.credentials.login import Login
from reconciler.failover.decision import URGENT_TIMEOUT_SECONDS
from reconciler.state.instance import NO_LOGIN
from reconciler.valkey import users
from shared import errors, names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.credentials.key_ring import KeyRing
    from reconciler.state.instance import Instance, InstanceFacts

    Asking: TypeAlias = Callable[[str, int, Login], Awaitable[InstanceFacts]]

HANG_UPS: Final = 3
HANG_UP_SECONDS: Final = 0.01
"""A process that is killed has closed its sockets within a few milliseconds."""
OUT_OF_MEMORY: Final = "OOM it uses more memory than it may, and removing keys does not help"
"""What the reconciler takes down where Valkey would answer a write with such an error; a PING it answers as ever."""
SILENT_SECONDS: Final = 1.5
"""After so long an instance counts as silent: the heartbeat asks it every second."""


class Ask(Protocol):
    """Asks the server of an instance for its facts."""

    async def __call__(self, host: str, port: int, login: Login, *, is_full: bool) -> InstanceFacts:
        """Ask; `is_full` wants a new login, and all passwords that the server accepts."""
        ...


async def ask_anew(host: str, port: int, login: Login, *, is_full: bool) -> InstanceFacts:
    """Ask a server over a session of its own, which is a full look always."""
    del is_full
    return await users.observe(host, port, login)


async def probe(seen: Instance, ring: KeyRing | None, ask: Ask = ask_anew, *, is_urgent: bool = False) -> Instance:
    """Ask the server of an instance.

    Args:
        seen: The instance as its pod and the heartbeat show it; its server may not run yet.
        ring: The storage's passwords; None if there is no auth Secret.
        ask: Asks the server.
        is_urgent: Whether other instances could take over from it.
    """
    is_late = seen.silent_for > SILENT_SECONDS
    seen = replace(seen, is_unsteady=is_late)
    limit_seconds = URGENT_TIMEOUT_SECONDS if is_urgent and is_late else None
    if not seen.address or ring is None:
        return seen
    instance = replace(seen, problem="refused", detail="the auth Secret holds no password of the user operator")
    # A rotation rests on what instances accept, and takes minutes at most. What cut the heartbeat's connection may have
    # cut a kept one too, and whether the instance lives must not rest on either.
    asking = partial(ask, is_full=is_late or bool(ring.staged or ring.former))
    # While passwords change, an instance may know the former one alone, as after a start from an old copy of its file.
    for password in ring.operators:
        operator = Login(identities.OPERATOR.user, password)
        instance = await _probe(replace(seen, operator=operator), ring, asking, limit_seconds)
        if instance.responds or instance.problem != "refused":
            break
    return instance if instance.problem in {"down", "unreachable"} else replace(instance, silent_for=0.0)


async def _facts(instance: Instance, ask: Asking) -> InstanceFacts:
    """Ask a server for its facts; if it hangs up, ask again whether it is still there.

    The kernel closes the sockets of a process that dies one after the other, and the one that listens may be the last.
    """
    for _ in range(HANG_UPS):
        with contextlib.suppress(errors.StoreHungUp):
            return await ask(*instance.endpoint)
        await asyncio.sleep(HANG_UP_SECONDS)
    return await ask(*instance.endpoint)


async def _probe(instance: Instance, ring: KeyRing, ask: Asking, limit_seconds: float | None) -> Instance:
    seen = instance
    try:
        async with asyncio.timeout(limit_seconds):
            seen = replace(instance, facts=await _facts(instance, ask))
        if seen.is_primary:  # a replica may refuse what consumers do
            await users.ping(seen.address, names.VALKEY_PORT, ring.login(identities.CONSUMER))
    except errors.StoreRefused as error:
        return replace(seen, problem="refused", detail=str(error))
    except errors.StoreErred as error:
        return _erring(seen, error)
    except errors.StoreDown as error:
        return replace(instance, problem="down", detail=str(error), operator=NO_LOGIN)
    except (errors.StoreUnreachable, TimeoutError) as error:
        return replace(instance, problem="unreachable", detail=str(error), operator=NO_LOGIN)
    if seen.is_primary and seen.facts is not None and seen.facts.is_out_of_memory:
        return replace(seen, problem="failing", detail=OUT_OF_MEMORY)
    return seen


def _erring(seen: Instance, error: errors.StoreErred) -> Instance:
    """Read what the error says that a server answered; what it said before that still holds."""
    if error.kind == "BUSY":
        return replace(seen, facts=None, problem="busy", detail=error.reply)
    if seen.responds:
        return replace(seen, problem="failing", detail=error.reply)
    return replace(seen, problem="unreachable", detail=str(error), operator=NO_LOGIN)
