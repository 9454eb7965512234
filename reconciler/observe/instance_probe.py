"""Asks a Valkey node: whether it lets the operator and consumers in, and what it says of itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from reconciler import pods
from shared import credentials, errors, names, valkey_node
from shared.keyring import KeyRing
from shared.login import Login
from shared.replication import PRIMARY

if TYPE_CHECKING:
    from shared.resources import Object
    from shared.valkey_node import NodeFacts

Problem = Literal["", "down", "unreachable", "refused"]
SILENT_SECONDS: Final = 1.5
"""From when on a node counts as silent: it is spoken to every second."""
HASTY_SECONDS: Final = 0.3
"""How long a silent node is given once more, when others wait for what is decided about it."""
NOBODY: Final = Login("", "")


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One Valkey node, as its pod and its server show it.

    Attributes:
        index: Its number.
        pod: The pod, if there is one.
        facts: What the server says; None if it did not answer, or does not let the operator in.
        problem: Why it cannot be used: nobody listens, no answer, or a refused credential.
        detail: The problem in words.
        operator: The login that it was asked by.
        silent_for: Seconds since its server last answered anything; 0 if it does.
        behind_for: Seconds since it was last seen to hear its primary; 0 if it does, or never was.
    """

    index: int = 0
    pod: Object | None = None
    facts: NodeFacts | None = None
    problem: Problem = ""
    detail: str = ""
    operator: Login = NOBODY
    silent_for: float = 0.0
    behind_for: float = 0.0

    @property
    def is_primary(self) -> bool:
        """Whether it takes itself for the primary, and has read its data."""
        return self.facts is not None and self.facts.role == PRIMARY and not self.facts.is_loading

    @property
    def address(self) -> str:
        """Where it can be reached; empty if nowhere."""
        return pods.address(self.pod)

    @property
    def can_be_told(self) -> bool:
        """Whether the operator gets in, and knows which passwords the node accepts."""
        return self.facts is not None and self.facts.hashes is not None


async def ask(
    index: int, pod: Object | None, auth: Object | None, silent_for: float = 0.0, *, is_urgent: bool = False
) -> NodeReport:
    """Ask the node in a pod.

    Args:
        index: Number of the node.
        pod: May not run yet, or not exist.
        auth: The storage's auth Secret, if there is one.
        silent_for: Seconds since its server last answered anything, as far as is known without asking.
        is_urgent: Whether there are others that could take over from it.
    """
    patience = HASTY_SECONDS if is_urgent and silent_for > SILENT_SECONDS else None
    ring = KeyRing.of(auth)
    if not pods.address(pod) or auth is None:
        return NodeReport(index, pod, silent_for=silent_for)
    report = NodeReport(index, pod, problem="refused", detail="no password of the operator is known")
    # While passwords change, a node may know the former one alone, as after a start from an old copy of its file.
    for password in ring.operators:
        operator = Login(credentials.OPERATOR.user, password)
        report = await _asked(NodeReport(index, pod, operator=operator, silent_for=silent_for), ring, patience)
        if report.facts is not None or report.problem != "refused":
            break
    return report if report.problem in {"down", "unreachable"} else replace(report, silent_for=0.0)


async def _asked(node: NodeReport, ring: KeyRing, patience: float | None) -> NodeReport:
    facts = None
    try:
        async with asyncio.timeout(patience):
            facts = await valkey_node.observe(node.address, names.VALKEY_PORT, node.operator)
        if facts.role == PRIMARY and not facts.is_loading:  # others refuse what consumers do
            await valkey_node.ping(node.address, names.VALKEY_PORT, ring.login(credentials.CONSUMER))
    except errors.StoreRefused as error:
        return replace(node, facts=facts, problem="refused", detail=str(error))
    except errors.StoreDown as error:
        return replace(node, problem="down", detail=str(error), operator=NOBODY)
    except (errors.StoreUnreachable, TimeoutError) as error:
        return replace(node, problem="unreachable", detail=str(error), operator=NOBODY)
    return replace(node, facts=facts)
