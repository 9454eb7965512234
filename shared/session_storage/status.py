"""The status of a SessionStorage: what the reconciler writes, and `kubectl explain` describes. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.session_storage.sizes import Size
from shared.session_storage.validation import Model


class Phase(StrEnum):
    """The state of a storage in one word, for people; programs read the conditions."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    READY = "Ready"
    DEGRADED = "Degraded"
    ROTATING = "Rotating"
    FAILED = "Failed"
    TERMINATING = "Terminating"


class RotationPhase(StrEnum):
    """How far a rotation of passwords is."""

    PENDING = "Pending"
    ADDED = "Added"
    PUBLISHED = "Published"
    AWAIT_CONSUMERS = "AwaitConsumers"
    DISCARDING = "Discarding"
    DISCARDED = "Discarded"


class Condition(Model):
    """One aspect of the storage's state, as Kubernetes' API conventions define a condition."""

    type: Annotated[str, Field(max_length=316, description="Which aspect, such as Ready.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    reason: Annotated[str, Field(max_length=1024, description="Why, in one word for programs.")]
    message: Annotated[
        str, Field(max_length=32768, description="Why, in a sentence, with the next step if somebody must act.")
    ] = ""
    observed_generation: Annotated[
        int | None, Field(description="The metadata.generation for which the reconciler found this out.")
    ] = None
    last_transition_time: Annotated[AwareDatetime, Field(description="When the status of the condition last changed.")]


class RotationStatus(Model):
    """The newest rotation of the storage's passwords."""

    phase: Annotated[RotationPhase, Field(description="How far the rotation is; Discarded when it is complete.")]
    since: Annotated[AwareDatetime, Field(description="When the rotation reached this phase.")]
    revision: Annotated[str, Field(description="Name of the new password; it reveals nothing of the password.")]
    consumers_done: Annotated[int | None, Field(description="Consumers whose pods all run with the new password.")] = (
        None
    )
    consumers_total: Annotated[
        int | None, Field(description="Consumers that must restart to receive the new password.")
    ] = None


class InstanceStatus(Model):
    """One Valkey instance."""

    name: Annotated[str, Field(description="Name of its StatefulSet; its pod is called <name>-0.")]
    role: Annotated[
        Literal["primary", "replica"],
        Field(description="The primary takes writes; a replica copies them, and takes over when the primary fails."),
    ]
    synced: Annotated[bool, Field(description="Whether a primary takes writes, or a replica could take over.")]
    lag_mib: Annotated[
        int | None, Field(alias="lagMiB", description="About how many MiB a replica is behind; absent if unknown.")
    ] = None


class LastFailover(Model):
    """The last time that the primary changed."""

    at: Annotated[AwareDatetime, Field(description="When the Service began to lead clients to the new primary.")]
    reason: Annotated[
        str,
        Field(
            description="Why the primary changed, in one word. Asked, DiskFails, InstanceIsOutdated, NodeIsDrained"
            " and PodIsDeleted are planned."
        ),
    ]
    seconds: Annotated[
        float, Field(description="Seconds from the decision until the Service led clients to the new primary.")
    ]


class SessionStorageStatus(Model):
    """The state of the storage as the reconciler last saw it."""

    phase: Annotated[
        Phase | None,
        Field(
            description="Summary for people; programs read the conditions. Pending: something must exist or be"
            " decided first. Provisioning: the storage has not been ready yet. Ready: consumers can use it. Rotating:"
            " the same, while passwords change. Degraded: it does not serve any more, or something hinders redundancy,"
            " a change or a rotation. Failed: the spec cannot be read, or Kubernetes refuses an object that consumers"
            " need. Terminating: somebody has deleted it.",
        ),
    ] = None
    reason: Annotated[str | None, Field(description="Why the storage is in this phase, in one word.")] = None
    message: Annotated[
        str | None,
        Field(description="Why the storage is in this phase, in a sentence, with the next step if somebody must act."),
    ] = None
    connection_secret: Annotated[
        str | None, Field(description="Secret in this namespace with the connection settings for consumers.")
    ] = None
    endpoint: Annotated[
        str | None,
        Field(
            description="Where consumers of an external storage connect: the URL of the store, without user name and"
            " password, once it has taken a write."
        ),
    ] = None
    primary: Annotated[
        str | None,
        Field(
            description="The Valkey instance that is primary, by the name of its StatefulSet; absent while none serves."
        ),
    ] = None
    primary_pod: Annotated[
        str | None,
        Field(description="Pod of the primary, for kubectl logs and kubectl exec; absent while no instance serves."),
    ] = None
    size: Annotated[
        Size | None,
        Field(description="The size in effect; it differs from spec.size until the reconciler has applied a change."),
    ] = None
    instances: Annotated[
        str | None,
        Field(
            description="How many Valkey instances are in sync, of how many the size asks for, such as 3/3. There may"
            " be more during a change. Absent for an external storage."
        ),
    ] = None
    nodes: list[InstanceStatus] = Field(
        default_factory=list,
        description="The Valkey instances of a managed storage.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    last_failover: LastFailover | None = None
    rotation: RotationStatus | None = None
    observed_generation: Annotated[
        int | None, Field(description="Newest metadata.generation that the reconciler has acted on.")
    ] = None
    conditions: list[Condition] = Field(
        default_factory=list,
        description="The state of the storage, aspect by aspect, for programs and for kubectl wait.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
