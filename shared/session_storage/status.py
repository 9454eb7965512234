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
    """One condition, as Kubernetes' API conventions define it."""

    type: Annotated[str, Field(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(max_length=1024)]
    message: Annotated[str, Field(max_length=32768)] = ""
    observed_generation: int | None = None
    last_transition_time: AwareDatetime


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
    role: Literal["primary", "replica"]
    synced: Annotated[bool, Field(description="Whether a primary takes writes, or a replica could take over.")]
    lag_mib: Annotated[
        int | None, Field(alias="lagMiB", description="About how many MiB a replica is behind; absent if unknown.")
    ] = None


class LastFailover(Model):
    """The last time that the primary changed."""

    at: AwareDatetime
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

    phase: Annotated[Phase | None, Field(description="Summary for people; programs read the conditions.")] = None
    message: Annotated[str | None, Field(description="The phase in a sentence.")] = None
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
        Field(description="StatefulSet of the Valkey instance that is primary; its pod is called <primary>-0."),
    ] = None
    size: Annotated[
        Size | None,
        Field(description="The size in effect; it differs from spec.size until the reconciler has applied a change."),
    ] = None
    nodes: list[InstanceStatus] = Field(
        default_factory=list,
        description="The Valkey instances of a managed storage.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    last_failover: LastFailover | None = None
    rotation: RotationStatus | None = None
    observed_generation: Annotated[
        int | None, Field(description="Newest generation of the spec that the reconciler has acted on.")
    ] = None
    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
