"""Asks a Valkey instance: whether it lets the operator and consumers in, and what it says of itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.credentials.login import Login
from reconciler.state import pod_status
from reconciler.state.instance import HASTY_SECONDS, NOBODY, Instance
from reconciler.state.replication_info import PRIMARY
from reconciler.valkey import users
from shared import errors, names

if TYPE_CHECKING:
    from reconciler.credentials.key_ring import KeyRing
    from shared.objects.resources import Object

SILENT_SECONDS: Final = 1.5
"""From when on an instance counts as silent: it is spoken to every second."""


async def ask(
    index: int, pod: Object | None, ring: KeyRing | None, silent_for: float = 0.0, *, is_urgent: bool = False
) -> Instance:
    """Ask the instance in a pod.

    Args:
        index: Number of the instance.
        pod: May not run yet, or not exist.
        ring: The storage's passwords; None if there is no auth Secret.
        silent_for: Seconds since its server last answered anything, as far as is known without asking.
        is_urgent: Whether there are others that could take over from it.
    """
    patience = HASTY_SECONDS if is_urgent and silent_for > SILENT_SECONDS else None
    if not pod_status.address(pod) or ring is None:
        return Instance(index, pod, silent_for=silent_for)
    report = Instance(index, pod, problem="refused", detail="no password of the operator is known")
    # While passwords change, an instance may know the former one alone, as after a start from an old copy of its file.
    for password in ring.operators:
        operator = Login(identities.OPERATOR.user, password)
        report = await _asked(Instance(index, pod, operator=operator, silent_for=silent_for), ring, patience)
        if report.facts is not None or report.problem != "refused":
            break
    return report if report.problem in {"down", "unreachable"} else replace(report, silent_for=0.0)


async def _asked(instance: Instance, ring: KeyRing, patience: float | None) -> Instance:
    facts = None
    try:
        async with asyncio.timeout(patience):
            facts = await users.observe(instance.address, names.VALKEY_PORT, instance.operator)
        if facts.role == PRIMARY and not facts.is_loading:  # others refuse what consumers do
            await users.ping(instance.address, names.VALKEY_PORT, ring.login(identities.CONSUMER))
    except errors.StoreRefused as error:
        return replace(instance, facts=facts, problem="refused", detail=str(error))
    except errors.StoreDown as error:
        return replace(instance, problem="down", detail=str(error), operator=NOBODY)
    except (errors.StoreUnreachable, TimeoutError) as error:
        return replace(instance, problem="unreachable", detail=str(error), operator=NOBODY)
    return replace(instance, facts=facts)
