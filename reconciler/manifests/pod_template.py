"""Builds the template of the pod in which one Valkey instance runs. Pure.

Two annotations tell whether a pod was made from the template that its StatefulSet has by now. `template-hash` covers
what needs a new pod to take effect; a pod with another hash is outdated. `placement-hash` covers what counts only until
the server first runs: on which nodes, and with which registry credentials. A pod that runs needs no change for it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.manifests import valkey_config
from reconciler.manifests.container import container
from reconciler.manifests.pod_placement import scheduling_fields, spread
from reconciler.manifests.storage import labels_of
from shared import names
from shared.objects import quantities
from shared.objects.resources import annotation_of

if TYPE_CHECKING:
    from reconciler.manifests.instance_spec import Image, InstanceSpec
    from reconciler.manifests.storage import Storage
    from reconciler.manifests.valkey_pods import ValkeyPods
    from shared.objects.resources import Object

GRACE_SECONDS: Final = 30
"""Kubernetes' default. Valkey syncs its file to disk as it stops, which may take a slow disk a while."""
_MOUNTED: Final = (names.KEY_USERS_ACL, identities.PROBE.key, identities.REPLICATION.key)
"""Keys of the auth Secret that kubelet mounts into an instance."""
_SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"


def pod_template(storage: Storage, instance: InstanceSpec, image: Image, pods: ValkeyPods) -> Object:
    """Build the template of an instance's pod.

    A label holds the size: by it the reconciler tells instances of another size apart. What the storage's author hands
    down gives way to what the platform team says of all pods, and that to what the product needs.
    """
    labels = {**storage.inherited.harmless.labels, **pods.pod_labels}
    running = _running(instance, image, pods)
    placement = scheduling_fields(instance, pods.scheduling) | _pull_secrets(storage, pods)
    own = {
        names.ANNOTATION_TEMPLATE_HASH: _hash(
            [running, labels, pods.pod_annotations], valkey_config.valkey_conf(), identities.rules()
        ),
        names.ANNOTATION_PLACEMENT_HASH: _hash(placement),
        names.ANNOTATION_INSTANCES: str(instance.preset.replicas),
        _SAFE_TO_EVICT: ",".join(volume["name"] for volume in _volumes(instance) if "emptyDir" in volume),
    }
    return {
        "metadata": {
            "labels": labels | labels_of(storage.name) | selector_of(instance) | {names.LABEL_SIZE: instance.size},
            "annotations": pods.pod_annotations | own,
        },
        "spec": running | placement | spread(instance),
    }


def selector_of(instance: InstanceSpec) -> dict[str, str]:
    """Labels by which a StatefulSet finds the pod of its instance."""
    return {names.LABEL_STORAGE: instance.storage, names.LABEL_INSTANCE: str(instance.index)}


def template_hash(pod_or_set: Object) -> str:
    """Tell which template a pod was made from, or a StatefulSet makes pods from; empty if that is not known."""
    return annotation_of(_template(pod_or_set), names.ANNOTATION_TEMPLATE_HASH)


def placement_hash(pod_or_set: Object) -> str:
    """Tell by which rules the scheduler places a pod, or the pods of a StatefulSet; empty if that is not known."""
    return annotation_of(_template(pod_or_set), names.ANNOTATION_PLACEMENT_HASH)


def _template(pod_or_set: Object) -> Object:
    template: Object = pod_or_set.get("spec", {}).get("template") or pod_or_set
    return template


def _hash(content: object, *texts: str) -> str:
    return hashlib.sha256("".join((json.dumps(content, sort_keys=True), *texts)).encode()).hexdigest()[:16]


def _running(instance: InstanceSpec, image: Image, pods: ValkeyPods) -> Object:
    """Build what a pod needs to run as it should; all of it needs a new pod to change."""
    return {
        **({"priorityClassName": pods.priority_class_name} if pods.priority_class_name else {}),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pods.security_context,
        "containers": [container(instance, image, pods.cpu_limit)],
        "volumes": _volumes(instance),
    }


def _pull_secrets(storage: Storage, pods: ValkeyPods) -> Object:
    copies = [{"name": names.pull_secret(storage.name, source)} for source in pods.pull_sources]
    return {"imagePullSecrets": copies} if copies else {}


def _volumes(instance: InstanceSpec) -> list[Object]:
    items = [{"key": key, "path": key} for key in _MOUNTED]
    volumes: list[Object] = [
        {"name": "config", "configMap": {"name": names.valkey(instance.storage)}},
        {
            "name": "acl",
            "secret": {"secretName": names.auth_secret(instance.storage), "items": items, "defaultMode": 0o440},
        },
        # In memory, so that hashes of passwords are on no disk of the node.
        {"name": "live-acl", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]
    if not instance.disk_gib:
        volumes.append({"name": "data", "emptyDir": {"sizeLimit": quantities.disk(instance.preset.disk_gib)}})
    return volumes
