"""What the reconciler does to the Valkey instances of a storage. Pure data; the texts made from it hold no password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.credentials.login import Login
    from reconciler.state.instance import Instance
    from reconciler.state.primary_record import PrimaryRecord, PrimaryService
    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Admit:
    """Have an instance accept these passwords beside others; done only once the instance is seen to accept them."""

    instance: Instance = field(repr=False)
    hashes: Mapping[str, frozenset[str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Retire:
    """Have an instance refuse these passwords.

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
    """Make an instance the primary, and send clients there.

    Attributes:
        service: The Service of the storage, in the version that was seen.
        record: The claim to write into the Service first.
        instance: Becomes the primary.
        followers: Instances that follow it at once: without one, a redundant primary takes no writes.
        replication: How they log in there.
    """

    service: PrimaryService = field(repr=False)
    record: PrimaryRecord
    instance: Instance = field(repr=False)
    followers: tuple[Instance, ...] = field(repr=False)
    replication: Login


@dataclass(frozen=True, slots=True)
class SwitchOver:
    """Move the primary from an instance that lives to another one, without losing a write.

    Attributes:
        service: The Service of the storage, in the version that was seen.
        record: The claim to write into the Service first.
        old: The primary.
        new: Becomes the primary.
        others: Instances that follow.
        replication: How instances log in to their primary.
        fence: `min-replicas-to-write` that a primary of the storage is to have.
    """

    service: PrimaryService = field(repr=False)
    record: PrimaryRecord
    old: Instance = field(repr=False)
    new: Instance = field(repr=False)
    others: tuple[Instance, ...] = field(repr=False)
    replication: Login
    fence: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Make an instance a replica of the primary at an address."""

    instance: Instance = field(repr=False)
    primary: str
    replication: Login


@dataclass(frozen=True, slots=True)
class LogInAnew:
    """Have a replica log in to its primary by the present password."""

    instance: Instance = field(repr=False)
    replication: Login


@dataclass(frozen=True, slots=True)
class Fence:
    """Have an instance take writes only as long as so many replicas follow it (`min-replicas-to-write`)."""

    instance: Instance = field(repr=False)
    replicas: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Have the primary take the writes again that a broken-off switchover has held back.

    Attributes:
        service: The Service of the storage, in the version that was seen.
        record: Replaces the claim of the switchover, so that it can no longer go on.
        instance: The primary.
    """

    service: PrimaryService = field(repr=False)
    record: PrimaryRecord
    instance: Instance = field(repr=False)


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove an instance that is no longer needed, with its volume, unless it has become the primary meanwhile.

    Attributes:
        service: The Service of the storage, as it was seen.
        workload: StatefulSet of the instance.
        volume_claim: The claim on its volume; None if it has none.
    """

    service: PrimaryService = field(repr=False)
    workload: Object = field(repr=False)
    volume_claim: Object | None = field(repr=False)


InstanceAction: TypeAlias = Promote | SwitchOver | Follow | LogInAnew | Fence | Resume | Admit | Retire | Remove
