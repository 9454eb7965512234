"""What a platform team says of Valkey's pods once, for all storages of an installation. Pure.

The chart hands it to the reconciler as JSON. Labels and annotations that the product sets itself win. Of the security
context, the platform team's fields win, because only they know which ids and which policies their cluster has.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.state.scheduling import Scheduling
from shared import names
from shared.objects import quantities
from shared.objects.structured_setting import StructuredSetting

if TYPE_CHECKING:
    from shared.objects.resources import Object

VALKEY_UID: Final = 999
"""User and group `valkey` of the official image (valkey-io/valkey-container, Debian variant)."""


class UserIds(StrEnum):
    """Who chooses the user, the group and the fsGroup of Valkey's pods."""

    AUTO = "auto"
    """The cluster if it is OpenShift, else the image; the reconciler finds out as it begins to lead."""
    CLUSTER = "cluster"
    IMAGE = "image"


def _cores(value: object) -> int:
    """Read an amount of CPU as thousandths of a core; 0 for an empty text."""
    found = quantities.millicores(str(value)) if isinstance(value, str | int | float) else None
    if value != "" and not found:
        raise ValueError("must be an amount of CPU, such as 2 or 500m")
    return found or 0


def _unreserved(metadata: dict[str, str]) -> dict[str, str]:
    if reserved := sorted(key for key in metadata if key.startswith(f"{names.GROUP}/")):
        raise ValueError(f"{', '.join(reserved)}: names under {names.GROUP} are the product's own")
    return metadata


class SecretReference(StructuredSetting):
    """A Secret in the release's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=200)]


class ValkeyPods(StructuredSetting):
    """How all Valkey pods of an installation are made.

    Attributes:
        scheduling: Where the scheduler may put them.
        priority_class_name: Their PriorityClass; empty means the cluster's default.
        storage_class_name: StorageClass of disks, unless the storage names one; empty means the cluster's default.
        image_pull_secrets: Secrets with registry credentials, which the reconciler copies beside storages.
        pod_labels: Labels besides the product's own.
        pod_annotations: Annotations besides the product's own.
        cpu_limit: CPU limit of each server in thousandths of a core; 0 for none.
        user_ids: Who chooses their user, group and fsGroup.
        pod_security_context: Fields that go before those which the product sets.
    """

    scheduling: Scheduling = Field(default_factory=Scheduling)
    priority_class_name: str = ""
    storage_class_name: str = ""
    image_pull_secrets: tuple[SecretReference, ...] = ()
    pod_labels: Annotated[dict[str, str], AfterValidator(_unreserved)] = Field(default_factory=dict)
    pod_annotations: Annotated[dict[str, str], AfterValidator(_unreserved)] = Field(default_factory=dict)
    cpu_limit: Annotated[int, BeforeValidator(_cores)] = 0
    user_ids: UserIds = UserIds.AUTO
    pod_security_context: dict[str, Any] = Field(default_factory=dict)

    @property
    def pull_sources(self) -> tuple[str, ...]:
        """Names of the Secrets with registry credentials in the release's namespace, each once."""
        return tuple(dict.fromkeys(each.name for each in self.image_pull_secrets))

    @property
    def security_context(self) -> Object:
        """The security context of a pod.

        What the cluster does not choose are the ids of the image. Kubelet gives the data to the fsGroup, but not all
        files of a large volume at each start.
        """
        ids = (
            {}
            if self.user_ids is UserIds.CLUSTER
            else dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), VALKEY_UID)
        )
        own = {
            "runAsNonRoot": True,
            **ids,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        return own | self.pod_security_context

    def on_cluster(self, *, assigns_ids: bool) -> ValkeyPods:
        """Return the same for a cluster of which one knows whether it gives pods their ids."""
        if self.user_ids is not UserIds.AUTO:
            return self
        return self.model_copy(update={"user_ids": UserIds.CLUSTER if assigns_ids else UserIds.IMAGE})


DEFAULT_PODS: Final = ValkeyPods()
