"""Builds the StatefulSet that runs one Valkey instance. Pure.

Each instance has a StatefulSet of its own: Kubernetes restarts an instance without the reconciler, templates may differ
during a rolling update, and even a storage with one instance can get a second one for the time of a switchover.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.manifests import start_command, valkey_config
from reconciler.manifests.storage import labels_of
from reconciler.state.storage_state import OS, OS_LABEL
from shared import names
from shared.objects.resources import annotation_of
from shared.session_storage.sizes import PRESETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.objects.resources import Object
    from shared.session_storage.sizes import Preset, Size

VALKEY_UID: Final = 999
"""User and group `valkey` of the official image (valkey-io/valkey-container, Debian variant)."""
CONTAINER: Final = "valkey"
SPREAD: Final = "topologySpreadConstraints"
"""Field of a pod's spec that says which nodes must not have more instances than others."""
_HOSTNAME: Final = "kubernetes.io/hostname"
_ZONE: Final = "topology.kubernetes.io/zone"
_MOUNTED: Final = (names.KEY_USERS_ACL, identities.PROBE.key, identities.REPLICATION.key)
"""Keys of the auth Secret that kubelet mounts into an instance."""
_CLIENT: Final = f"valkey-cli --user {identities.PROBE.user}"
_IS_ALIVE: Final = f'answer=$({_CLIENT} ping) && case "$answer" in BUSY*) echo "$answer"; exit 1;; esac'
"""Whatever a server answers, it lives: also an error, as while it reads its data or its disk is full, so no `-e`. Only
a script that has run for two minutes counts as death: the reconciler ends scripts within seconds, and cannot end one
that has written. What such a script wrote, nobody got an answer to; all else is in the file."""
_IS_READY: Final = (
    f"set -- $(printf 'PING\\nROLE\\n' | {_CLIENT})"
    f' && if [ "$1" != PONG ]; then echo "$@"; exit 1; fi'
    f' && echo "$2" > {start_command.ROLE_FILE}.new && mv {start_command.ROLE_FILE}.new {start_command.ROLE_FILE}'
)
"""An instance that still reads its AOF, or has no link to its primary, is alive, but not ready. One that is ready notes
its role, for a server that starts again in its container."""
GRACE_SECONDS: Final = 30
"""Kubernetes' default. Valkey syncs its file to disk as it stops, which may take a slow disk a while."""


@dataclass(frozen=True, slots=True)
class Image:
    """Which Valkey to run."""

    reference: str
    pull_policy: str


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What the StatefulSet of one Valkey instance is built for.

    Attributes:
        disk_gib: Size of its volume, which may be larger than the size asks for; 0 if its data goes with its pod.
        is_spread: Whether instances of the storage must be spread evenly over the nodes that take them; else they only
            should be.
    """

    storage: str
    namespace: str
    index: int
    size: Size
    disk_gib: int
    is_spread: bool = False

    @property
    def preset(self) -> Preset:
        """What its size decides."""
        return PRESETS[self.size]


def stateful_set(metadata: Object, instance: InstanceSpec, image: Image, priority_class: str) -> Object:
    """Build the StatefulSet of one instance.

    A label holds the size: by it the reconciler tells instances of another size apart, whose volumes cannot change in
    place. An empty priority class means the cluster's default.
    """
    selector = {names.LABEL_STORAGE: instance.storage, names.LABEL_INSTANCE: str(instance.index)}
    pod = _pod_spec(instance, image, priority_class)
    spec: Object = {
        "replicas": 1,
        "serviceName": names.valkey_headless(instance.storage),
        # OrderedReady would keep a pod of a faulty revision for ever, even once somebody has corrected the revision
        # (Kubernetes, "StatefulSets: forced rollback").
        "podManagementPolicy": "Parallel",
        # A pod may be replaced once another instance has taken over from it, which only the reconciler can arrange.
        "updateStrategy": {"type": "OnDelete"},
        "selector": {"matchLabels": selector},
        "template": {
            "metadata": {
                "labels": labels_of(instance.storage) | selector | {names.LABEL_SIZE: instance.size},
                "annotations": {names.ANNOTATION_TEMPLATE_HASH: _hash(pod)} | _autoscaling(instance),
            },
            # Not part of the hash: what changes only where the next pod goes needs no new pod.
            "spec": pod | _spread(instance),
        },
    }
    if instance.disk_gib:
        spec["volumeClaimTemplates"] = [_claim(instance, metadata["ownerReferences"])]
    return {"metadata": metadata | {"labels": metadata["labels"] | {names.LABEL_SIZE: instance.size}}, "spec": spec}


def template_hash(pod_or_set: Object) -> str:
    """Tell which template a pod was made from, or a StatefulSet makes pods from; empty if that is not known."""
    template = pod_or_set.get("spec", {}).get("template") or pod_or_set
    return annotation_of(template, names.ANNOTATION_TEMPLATE_HASH)


def _hash(pod: Object) -> str:
    """Hash what needs a new pod to take effect: its own spec, the configuration, and the rights of each identity."""
    text = json.dumps(pod, sort_keys=True) + valkey_config.valkey_conf() + identities.rules()
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _claim(instance: InstanceSpec, owners: Sequence[Object]) -> Object:
    # Data belongs to the storage: it goes with the storage, and stays when only the StatefulSet is deleted. The
    # StatefulSet's own retention policy would delete the data in both cases, and delays each first start by two
    # seconds, because it changes a claim that the scheduler is about to bind.
    kept = [{key: owner[key] for key in ("apiVersion", "kind", "name", "uid")} for owner in owners]
    return {
        "metadata": {"name": "data", "labels": labels_of(instance.storage), "ownerReferences": kept},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{instance.disk_gib}Gi"}},
        },
    }


def _pod_spec(instance: InstanceSpec, image: Image, priority_class: str) -> Object:
    return {
        **({"priorityClassName": priority_class} if priority_class else {}),
        "nodeSelector": {OS_LABEL: OS},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": VALKEY_UID,
            "runAsGroup": VALKEY_UID,
            "fsGroup": VALKEY_UID,
            # Otherwise kubelet would change every file of a large volume at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(instance, image)],
        "volumes": _volumes(instance),
    }


def _autoscaling(instance: InstanceSpec) -> dict[str, str]:
    """Let cluster autoscaler remove the node of an instance that has an `emptyDir`, even one in memory.

    Otherwise it never even taints such a node, and by that taint the reconciler knows that the data has to move
    (cluster autoscaler, FAQ: "What types of pods can prevent CA from removing a node?").
    """
    volumes = [volume["name"] for volume in _volumes(instance) if "emptyDir" in volume]
    return {"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": ",".join(volumes)}


def _spread(instance: InstanceSpec) -> Object:
    """Keep a storage's instances apart: on nodes of their own, and in zones of their own, as far as there are any.

    The constraint counts only nodes whose taints the pod tolerates. So three instances share two nodes if the third
    node is not for them, and must be on three nodes once it is. A pod anti-affinity knows no such difference. The
    selectors are the storage's own label, so instances of other storages may share a node with these.
    """
    if not instance.preset.is_redundant:
        return {}
    others = {"labelSelector": {"matchLabels": {names.LABEL_STORAGE: instance.storage}}}
    wanted = [
        {"weight": weight, "podAffinityTerm": others | {"topologyKey": key}}
        for weight, key in ((100, _HOSTNAME), (50, _ZONE))
    ]
    needed = {
        "topologyKey": _HOSTNAME,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        **others,
    }
    return {
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wanted}},
        **({SPREAD: [needed]} if instance.is_spread else {}),
    }


def _container(instance: InstanceSpec, image: Image) -> Object:
    preset = instance.preset
    memory = _quantity(preset.memory_mib)
    host = names.valkey_host(instance.storage, instance.namespace)
    return {
        "name": CONTAINER,
        "image": image.reference,
        "imagePullPolicy": image.pull_policy,
        "command": ["sh", "-c", start_command.start_command(instance.index, host, preset)],
        "ports": [{"name": "valkey", "containerPort": names.VALKEY_PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": f"{preset.cpu_millis}m", "memory": memory},
            "limits": {"memory": memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": _probe(_IS_READY) | {"initialDelaySeconds": 1, "periodSeconds": 5, "timeoutSeconds": 3},
        "livenessProbe": _probe(_IS_ALIVE) | {"periodSeconds": 20, "timeoutSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [
            {"name": "data", "mountPath": valkey_config.DATA_DIRECTORY},
            {"name": "config", "mountPath": valkey_config.CONFIG_DIRECTORY, "readOnly": True},
            {"name": "acl", "mountPath": valkey_config.ACL_DIRECTORY, "readOnly": True},
            {"name": "live-acl", "mountPath": valkey_config.LIVE_DIRECTORY},
        ],
    }


def _quantity(mebibytes: int) -> str:
    """Write memory the way the API server stores it, or every comparison would find a difference."""
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"


def _probe(command: str) -> Object:
    """Build a probe as the identity `probe`; the password comes from a file, never from a command line."""
    password_file = f"{valkey_config.ACL_DIRECTORY}/{identities.PROBE.key}"
    return {"exec": {"command": ["sh", "-c", f'export REDISCLI_AUTH="$(cat {password_file})"; {command}']}}


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
        volumes.append({"name": "data", "emptyDir": {"sizeLimit": f"{instance.preset.disk_gib}Gi"}})
    return volumes
