"""Asks a Valkey node: whether it lets the operator and consumers in, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from reconciler import pods
from shared import credentials, errors, names, valkey_node
from shared.keyring import KeyRing
from shared.valkey_node import Login, NodeFacts

if TYPE_CHECKING:
    from shared.resources import Object

Problem = Literal["", "unreachable", "refused"]
NOBODY: Final = Login("", "")


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One Valkey node, as its pod and its server show it.

    Attributes:
        pod: The pod, if there is one.
        facts: What the server says; None if it did not answer, or does not let the operator in.
        problem: Why it cannot be used: no answer, or a refused credential.
        detail: The problem in words.
        operator: The login that it was asked by.
    """

    pod: Object | None = None
    facts: NodeFacts | None = None
    problem: Problem = ""
    detail: str = ""
    operator: Login = NOBODY

    @property
    def address(self) -> str:
        """Where it can be reached; empty if nowhere."""
        return pods.address(self.pod)

    @property
    def can_be_told(self) -> bool:
        """Whether the operator gets in, and knows which passwords the node accepts."""
        return self.facts is not None and self.facts.hashes is not None


async def ask(pod: Object | None, auth: Object | None) -> NodeReport:
    """Ask the node in a pod.

    Args:
        pod: May not run yet, or not exist.
        auth: The storage's auth Secret, if there is one.
    """
    ring = KeyRing.of(auth)
    if not pods.address(pod) or auth is None:
        return NodeReport(pod)
    report = NodeReport(pod, problem="refused", detail="no password of the operator is known")
    # While passwords change, a node may know the former one alone, as after a start from an old copy of its file.
    for password in ring.operators:
        report = await _asked(pod, Login(credentials.OPERATOR.user, password), ring)
        if report.facts is not None or report.problem != "refused":
            break
    return report


async def _asked(pod: Object | None, operator: Login, ring: KeyRing) -> NodeReport:
    address, facts = pods.address(pod), None
    try:
        facts = await valkey_node.observe(address, names.VALKEY_PORT, operator)
        if not facts.is_loading:  # it would answer INFO and refuse all else
            consumer = Login(credentials.CONSUMER.user, ring.current.get(credentials.CONSUMER.key, ""))
            await valkey_node.ping(address, names.VALKEY_PORT, consumer)
    except errors.StoreRefused as error:
        return NodeReport(pod, facts, "refused", str(error), operator)
    except errors.StoreUnreachable as error:
        return NodeReport(pod, None, "unreachable", str(error))
    return NodeReport(pod, facts, operator=operator)
