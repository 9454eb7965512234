"""One Valkey instance of a storage, as its pod and its server show it. Pure.

Three types describe an instance by what is known of it: `InstanceSpec` says what its StatefulSet is built for,
`InstanceFacts` holds what its server says, and `Instance` is all that was observed of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from reconciler.credentials import identities
from reconciler.credentials.login import Login
from reconciler.state import pod_status
from reconciler.state.replication_info import PRIMARY, Replication, replication_from
from reconciler.state.statistics import Statistics, statistics_from
from shared import names
from shared.objects.resources import annotation_of, is_terminating
from shared.session_storage.sizes import DEFAULT_SIZES, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.state.obstacle import Obstacle
    from shared.objects.resources import Object

Problem = Literal["", "down", "unreachable", "refused", "busy", "failing"]
NO_LOGIN: Final = Login("", "")
OUT_OF_MEMORY_MILLISECONDS: Final = 2000
"""After so long above its limit an instance is out of memory: it usually takes milliseconds to remove keys."""
RECENT_SECONDS: Final = 2
"""A replica still hears its primary if it heard from it within this time. A primary speaks once a second
(`repl-ping-replica-period`), and Valkey counts whole seconds, so 1.1 s may show as 2."""


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What the server of an instance says.

    Attributes:
        role: `master` or `slave`, in Valkey's words.
        is_loading: Whether it still reads its data from disk.
        hashes: Hashes of the passwords that each of our users may log in with; None if the reconciler did not ask.
        fence: How many replicas it needs to take writes (`min-replicas-to-write`).
        eviction: Which keys it removes when its memory is full (`maxmemory-policy`); empty if nobody asked.
        is_paused: Whether it holds clients' writes back (`CLIENT PAUSE`).
        upstream_hash: Hash of the password with which it logs in to its primary; empty if it has none.
        disk_fails: Whether its last write to its file failed.
        is_out_of_memory: Whether it has been using more memory than it may, and removing keys has not helped.
        statistics: What it counts and measures; no decision rests on that.
    """

    role: str
    is_loading: bool
    hashes: Mapping[str, frozenset[str]] | None = field(default=None, repr=False)
    replication: Replication = field(default_factory=Replication)
    fence: int = 0
    eviction: str = ""
    is_paused: bool = False
    upstream_hash: str = field(default="", repr=False)
    disk_fails: bool = False
    is_out_of_memory: bool = False
    statistics: Statistics = field(default_factory=Statistics, repr=False, compare=False)


def facts_from(
    info: Mapping[str, Any],
    hashes: Mapping[str, frozenset[str]] | None = None,
    config: Mapping[str, str] = MappingProxyType({}),
) -> InstanceFacts:
    """Read the replies to INFO and CONFIG GET."""
    password = config.get("primaryauth", "")
    return InstanceFacts(
        role=str(info.get("role", "")),
        is_loading=bool(int(info.get("loading", 0))),
        hashes=hashes,
        replication=replication_from(info),
        fence=int(config.get("min-replicas-to-write", 0)),
        eviction=config.get("maxmemory-policy", ""),
        is_paused=str(info.get("paused_reason", "none")) != "none",
        upstream_hash=identities.sha256(password) if password else "",
        disk_fails=str(info.get("aof_last_write_status", "ok")) != "ok",
        is_out_of_memory=int(info.get("current_eviction_exceeded_time", 0)) >= OUT_OF_MEMORY_MILLISECONDS,
        statistics=statistics_from(info),
    )


@dataclass(frozen=True, slots=True)
class Instance:
    """One Valkey instance of a storage, as its pod and its server show it.

    Attributes:
        facts: What the server says; None if it did not answer, or does not let the reconciler in.
        problem: Why the reconciler cannot use it: nothing listens there, or a firewall refuses connections (down); no
            answer came (unreachable); it refused the credential (refused); a script keeps it from everything else
            (busy); or it is the primary, and answers what consumers send with an error (failing).
        detail: The problem in words; of one that is failing, its answer.
        operator: The login of the identity `operator` with which the reconciler asked it.
        outlives_at: Where its server goes on for a moment although its pod is gone, as after a deletion by force; empty
            if it does not.
        silent_for: Seconds since its last sign of life, or since this process began to watch it; 0 if it answers.
        not_hearing_for: Seconds since the reconciler last saw a replica hear its primary; 0 if it sees that now, or
            never did. The replica's own figure is not enough: it counts from the break of the link, which may have been
            silent for a minute by then.
        busy_for: Seconds since the reconciler first saw the script that keeps it busy; 0 if it sees none.
        has_endless_script: Whether Valkey refused to end that script, because it has written already.
        warning: What Kubernetes' Events say of why its pod does not exist or start; None if they say nothing, or its
            server runs.
    """

    index: int = 0
    pod: Object | None = None
    facts: InstanceFacts | None = None
    problem: Problem = ""
    detail: str = ""
    operator: Login = NO_LOGIN
    outlives_at: str = ""
    silent_for: float = 0.0
    not_hearing_for: float = 0.0
    busy_for: float = 0.0
    has_endless_script: bool = False
    warning: Obstacle | None = None

    @property
    def obstacle(self) -> Obstacle | None:
        """What keeps its pod from existing or running; None if that only needs time."""
        return self.warning or (pod_status.obstacle(self.pod) if self.pod is not None else None)

    @property
    def size(self) -> Size | None:
        """The size that its pod was made for; None if the pod does not say."""
        label = (self.pod or {"metadata": {}})["metadata"].get("labels", {}).get(names.LABEL_SIZE)
        return next((size for size in Size if size.value == label), None)

    @property
    def made_for(self) -> int | None:
        """For how many instances of its storage its pod was made; None if the pod does not say.

        Pods of former releases name their size alone, which meant the same in every installation.
        """
        stated = annotation_of(self.pod, names.ANNOTATION_INSTANCES) if self.pod is not None else ""
        if re.fullmatch("[0-9]{1,3}", stated):  # whoever may edit pods can write anything there
            return int(stated)
        return DEFAULT_SIZES.of(self.size).replicas if self.size is not None else None

    @property
    def title(self) -> str:
        """What log lines and messages call it."""
        return f"pod {self.pod['metadata']['name']}" if self.pod is not None else f"instance {self.index}"

    @property
    def address(self) -> str:
        """Where it can be reached; empty if nowhere."""
        return pod_status.address(self.pod) or self.outlives_at

    @property
    def endpoint(self) -> tuple[str, int, Login]:
        """Host, port and login with which the reconciler opens a session."""
        return self.address, names.VALKEY_PORT, self.operator

    @property
    def is_gone(self) -> bool:
        """Whether the API says that no server runs in its pod, or that there is no pod (`pod_status.is_gone`)."""
        return pod_status.is_gone(self.pod)

    @property
    def is_ending(self) -> bool:
        """Whether somebody deleted its pod, so that its server stops soon."""
        return is_terminating(self.pod) or bool(self.outlives_at)

    @property
    def responds(self) -> bool:
        """Whether its server says what it is, even if it still reads its data."""
        return self.facts is not None

    @property
    def is_loaded(self) -> bool:
        """Whether its server responds, has its data in memory, and takes commands."""
        return self.facts is not None and not self.facts.is_loading

    @property
    def disk_fails(self) -> bool:
        """Whether its last write to its file failed, so that a primary refuses writes, and a replica may end."""
        return self.facts is not None and self.facts.disk_fails

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
        return self._has_primary_role and not self.is_loaded

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
