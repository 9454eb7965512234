"""One Valkey instance, as its pod and its server show it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from reconciler.credentials.login import Login
from reconciler.state import pod_status
from reconciler.state.replication_info import PRIMARY

if TYPE_CHECKING:
    from reconciler.state.instance_facts import InstanceFacts
    from shared.objects.resources import Object


Problem = Literal["", "down", "unreachable", "refused"]


HASTY_SECONDS: Final = 0.3
"""How long a silent instance is given once more, when others wait for what is decided about it."""


NOBODY: Final = Login("", "")


@dataclass(frozen=True, slots=True)
class Instance:
    """One Valkey instance, as its pod and its server show it.

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
    facts: InstanceFacts | None = None
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
        return pod_status.address(self.pod)

    @property
    def can_be_told(self) -> bool:
        """Whether the operator gets in, and knows which passwords the instance accepts."""
        return self.facts is not None and self.facts.hashes is not None
