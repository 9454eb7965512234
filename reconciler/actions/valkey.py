"""What is done to the Valkey instances of a storage. Pure data; the texts made from it hold no password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.credentials.login import Login
    from reconciler.state.instance import Instance
    from reconciler.state.primary_record import Claim
    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Admit:
    """Have a Valkey instance accept these passwords beside others; carried out only when it was seen to."""

    instance: Instance = field(repr=False)
    hashes: Mapping[str, frozenset[str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Retire:
    """Have a Valkey instance refuse these passwords.

    Attributes:
        instance: Which.
        hashes: Of each user's password.
        spared: Addresses whose sessions need not be closed; None closes no session.
    """

    instance: Instance = field(repr=False)
    hashes: Mapping[str, str] = field(repr=False)
    spared: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Promote:
    """Make an instance the primary, and have clients get to it.

    Attributes:
        service: Of the storage, the very version of it that was seen.
        claim: What is written down before.
        instance: Which becomes the primary.
        followers: Instances to follow it at once: without one, a redundant primary takes no writes.
        replication: How they log in there.
    """

    service: Object = field(repr=False)
    claim: Claim
    instance: Instance = field(repr=False)
    followers: tuple[Instance, ...] = field(repr=False)
    replication: Login


@dataclass(frozen=True, slots=True)
class SwitchOver:
    """Move the primary from an instance that lives to another one, without a write that is lost.

    Attributes:
        service: Of the storage, the very version of it that was seen.
        claim: What is written down before.
        old: The primary.
        new: Which becomes the primary.
        others: Instances that follow.
        replication: How instances log in to their primary.
        fence: `min-replicas-to-write` that the old primary is to have.
    """

    service: Object = field(repr=False)
    claim: Claim
    old: Instance = field(repr=False)
    new: Instance = field(repr=False)
    others: tuple[Instance, ...] = field(repr=False)
    replication: Login
    fence: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Make an instance a replica of the primary."""

    instance: Instance = field(repr=False)
    primary: str
    replication: Login


@dataclass(frozen=True, slots=True)
class LogInAnew:
    """Have a replica use the present password at its primary."""

    instance: Instance = field(repr=False)
    replication: Login


@dataclass(frozen=True, slots=True)
class Fence:
    """Have an instance take writes only as long as so many replicas follow it."""

    instance: Instance = field(repr=False)
    replicas: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Have the primary take writes again that a move which broke off has let wait.

    Attributes:
        service: Of the storage, the very version of it that was seen.
        claim: What takes the place of the move's, so that it can no longer go on.
        instance: The primary.
    """

    service: Object = field(repr=False)
    claim: Claim
    instance: Instance = field(repr=False)


@dataclass(frozen=True, slots=True)
class Remove:
    """Take an instance that is no longer needed away, with its volume; not if it has become the primary meanwhile.

    Attributes:
        service: Of the storage, as it was seen.
        workload: StatefulSet of the instance.
        claim: On its volume; None if it has none.
    """

    service: Object = field(repr=False)
    workload: Object = field(repr=False)
    claim: Object | None = field(repr=False)


InstanceAction: TypeAlias = Promote | SwitchOver | Follow | LogInAnew | Fence | Resume | Admit | Retire | Remove
