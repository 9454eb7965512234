"""What the reconciler does to the Valkey instances of a storage. Pure data; their `repr` holds no password.

`service` is always the Service that sends clients to the storage's primary, in the version that the observer saw, and
`record` is the claim to write into that Service first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.credentials.login import Login
    from reconciler.state.instance import Instance
    from reconciler.state.primary_record import PrimaryRecord
    from reconciler.state.primary_service import PrimaryService
    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Admit:
    """Have an instance accept these passwords beside others; done only once the reconciler sees it accept them."""

    instance: Instance
    hashes: Mapping[str, frozenset[str]]

    def __repr__(self) -> str:
        return f"have {self.instance.title} accept the passwords in force"


@dataclass(frozen=True, slots=True)
class Retire:
    """Have an instance refuse these passwords, each given as a hash by its user.

    Attributes:
        spared: Addresses whose sessions stay open; None closes no session.
    """

    instance: Instance
    hashes: Mapping[str, str]
    spared: frozenset[str] | None = None

    def __repr__(self) -> str:
        sessions = "" if self.spared is None else " and close their sessions"
        return f"have {self.instance.title} refuse the former passwords{sessions}"


@dataclass(frozen=True, slots=True)
class Promote:
    """Make an instance the primary, and send clients there.

    Attributes:
        followers: Instances that follow it at once: without one, a redundant primary takes no writes.
        replication: How followers log in to their primary.
    """

    service: PrimaryService
    record: PrimaryRecord
    instance: Instance
    followers: tuple[Instance, ...]
    replication: Login

    def __repr__(self) -> str:
        return f"promote {self.instance.title} to primary ({self.record.reason})"


@dataclass(frozen=True, slots=True)
class SwitchOver:
    """Move the primary from an instance that lives to another one, without losing a write.

    Attributes:
        others: The instances besides these two; they follow the new primary.
        replication: How instances log in to their primary.
        fence: The `min-replicas-to-write` that the storage's primary is to have.
    """

    service: PrimaryService
    record: PrimaryRecord
    old: Instance
    new: Instance
    others: tuple[Instance, ...]
    replication: Login
    fence: int

    def __repr__(self) -> str:
        return f"move the primary from {self.old.title} to {self.new.title} ({self.record.reason})"


@dataclass(frozen=True, slots=True)
class Follow:
    """Make an instance a replica of the primary at an address."""

    instance: Instance
    primary: str
    replication: Login

    def __repr__(self) -> str:
        return f"have {self.instance.title} follow the primary at {self.primary}"


@dataclass(frozen=True, slots=True)
class TellPassword:
    """Have an instance log in to its primary with the present password, from its next connection on."""

    instance: Instance
    replication: Login

    def __repr__(self) -> str:
        return f"tell {self.instance.title} the present password for replication"


@dataclass(frozen=True, slots=True)
class Fence:
    """Have an instance take writes only while at least `replicas` follow it (`min-replicas-to-write`)."""

    instance: Instance
    replicas: int

    def __repr__(self) -> str:
        return f"set min-replicas-to-write of {self.instance.title} to {self.replicas}"


@dataclass(frozen=True, slots=True)
class EndScript:
    """End the script that keeps an instance from serving anybody else."""

    instance: Instance

    def __repr__(self) -> str:
        return f"end the script that keeps {self.instance.title} busy"


@dataclass(frozen=True, slots=True)
class RestartServer:
    """End a server that a script keeps busy which Valkey cannot end; the server starts again in its container.

    Its file has all data but what that script wrote.
    """

    instance: Instance

    def __repr__(self) -> str:
        return f"restart the server of {self.instance.title}, because nothing else ends its script"


@dataclass(frozen=True, slots=True)
class Resume:
    """Have the primary take the writes that a switchover held back before it broke off.

    First the reconciler withdraws the claim of that switchover, which therefore cannot go on.
    """

    service: PrimaryService
    instance: Instance

    def __repr__(self) -> str:
        return f"have {self.instance.title} take writes again"


@dataclass(frozen=True, slots=True)
class Hold:
    """Have a primary whose pod is ending go on until another instance has taken over, or its time is nearly over.

    It counts only if it comes while kubelet stops the pod, so it is repeated for a moment (`start_command`).
    """

    instance: Instance

    def __repr__(self) -> str:
        return f"have {self.instance.title} go on until another instance takes over"


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove an instance that is no longer needed, with its volume, unless it has become the primary meanwhile."""

    service: PrimaryService
    workload: Object
    volume_claim: Object | None

    def __repr__(self) -> str:
        return f"remove instance {self.workload['metadata']['name']} with its volume"


InstanceAction: TypeAlias = (
    Promote
    | SwitchOver
    | Follow
    | TellPassword
    | Fence
    | EndScript
    | RestartServer
    | Resume
    | Admit
    | Retire
    | Hold
    | Remove
)
