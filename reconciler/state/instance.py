"""One Valkey instance of a storage, as its pod and its server show it. Pure.

Three types describe an instance by what is known of it: `InstanceSpec` says what its StatefulSet is built for,
`InstanceFacts` holds what its server says, and `Instance` is all that was observed of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from reconciler.credentials.login import Login
from reconciler.state import pod_status
from reconciler.state.replication_info import PRIMARY, Replication
from shared import names

if TYPE_CHECKING:
    from reconciler.state.instance_facts import InstanceFacts
    from shared.objects.resources import Object


Problem = Literal["", "down", "unreachable", "refused"]
NO_LOGIN: Final = Login("", "")
RECENT_SECONDS: Final = 2
"""A replica that heard from its primary within so many seconds still hears it. A primary speaks once a second
(`repl-ping-replica-period`), and Valkey counts whole seconds, so 1.1 s may show as 2."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One Valkey instance, as its pod and its server show it.

    Attributes:
        index: Its number.
        pod: The pod, if there is one.
        facts: What the server says; None if it did not answer, or does not let the reconciler in.
        problem: Why the reconciler cannot use it: nothing listens there, no answer came, or it refused the credential.
        detail: The problem in words.
        operator: The login of the identity `operator` by which the reconciler asked it.
        silent_for: Seconds since its last sign of life, or since this process began to watch it; 0 if it answers.
        not_hearing_for: Seconds since a replica was last seen to hear its primary; 0 if it hears it, or was never seen
            to. The replica's own word is not enough: a link that was silent for a minute breaks as if that were new.
    """

    index: int = 0
    pod: Object | None = None
    facts: InstanceFacts | None = None
    problem: Problem = ""
    detail: str = ""
    operator: Login = NO_LOGIN
    silent_for: float = 0.0
    not_hearing_for: float = 0.0

    @property
    def address(self) -> str:
        """Where it can be reached; empty if nowhere."""
        return pod_status.address(self.pod)

    @property
    def endpoint(self) -> tuple[str, int, Login]:
        """Host, port and login by which the reconciler opens a session."""
        return self.address, names.VALKEY_PORT, self.operator

    @property
    def is_gone(self) -> bool:
        """Whether the API says that no server runs in its pod, or that there is no pod (`pod_status.is_gone`)."""
        return pod_status.is_gone(self.pod)

    @property
    def is_down(self) -> bool:
        """Whether its address refuses connections; a firewall in between may refuse them too."""
        return self.problem == "down"

    @property
    def responds(self) -> bool:
        """Whether its server says what it is, even if it still reads its data."""
        return self.facts is not None

    @property
    def is_loaded(self) -> bool:
        """Whether its server responds, has its data in memory, and takes commands."""
        return self.facts is not None and not self.facts.is_loading

    @property
    def accepts_operator(self) -> bool:
        """Whether it lets the identity `operator` in, and said which passwords it accepts."""
        return self.facts is not None and self.facts.hashes is not None

    @property
    def is_primary(self) -> bool:
        """Whether it considers itself the primary, and has loaded its data."""
        return self.is_loaded and self._has_primary_role

    @property
    def is_loading_as_primary(self) -> bool:
        """Whether it will consider itself the primary once it has loaded its data."""
        return self.responds and not self.is_loaded and self._has_primary_role

    @property
    def is_paused(self) -> bool:
        """Whether it holds clients' writes back (`CLIENT PAUSE`), as a primary does while a switchover goes on."""
        return self.facts is not None and self.facts.is_paused

    @property
    def replication(self) -> Replication:
        """What it says of its replication; nothing if it does not respond."""
        return self.facts.replication if self.facts is not None else Replication()

    @property
    def has_data(self) -> bool:
        """Whether it has loaded at least one key."""
        return self.is_loaded and not self.replication.is_empty

    @property
    def has_history(self) -> bool:
        """Whether it is loaded, and its offset says how much of its lineage it has."""
        return self.is_loaded and self.replication.has_history

    @property
    def is_linked(self) -> bool:
        """Whether it is a replica that believes it is connected with a primary."""
        return self.is_loaded and not self._has_primary_role and self.replication.is_linked

    @property
    def hears_primary(self) -> bool:
        """Whether it is linked, and heard from its primary lately."""
        return self.is_linked and (self.replication.silence or 0) <= RECENT_SECONDS

    @property
    def without_primary_for(self) -> float | None:
        """Seconds since a replica last heard from a primary; None if it cannot tell."""
        own_word = self.replication.silence if self.is_linked else self.replication.down_for
        return None if own_word is None else max(float(own_word), self.not_hearing_for)

    @property
    def _has_primary_role(self) -> bool:
        return self.facts is not None and self.facts.role == PRIMARY
