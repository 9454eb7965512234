"""The StatefulSet that runs one Valkey node. Pure.

One StatefulSet for each node, not one for all: Kubernetes revives a node without us, templates may differ while a
change rolls, and even a one-node storage can get a second node for the time of a planned move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared import credentials, names, valkey_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.resources import Object
    from shared.sizes import Preset, Size

VALKEY_UID: Final = 999
"""User and group `valkey` of the official image (valkey-io/valkey-container, Debian variant)."""
CONTAINER: Final = "valkey"
GRACE_SECONDS: Final = 30
"""Longer than Valkey's own shutdown-timeout of 10 s plus a last fsync."""


@dataclass(frozen=True, slots=True)
class Image:
    """Which Valkey to run."""

    reference: str
    pull_policy: str


@dataclass(frozen=True, slots=True)
class Node:
    """One Valkey node of a storage."""

    storage: str
    index: int
    size: Size
    preset: Preset


def labels_of(storage: str) -> dict[str, str]:
    """Labels of everything that belongs to a storage."""
    return {
        names.LABEL_STORAGE: storage,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        "app.kubernetes.io/name": "valkey",
        "app.kubernetes.io/instance": storage,
    }


def stateful_set(metadata: Object, node: Node, image: Image) -> Object:
    """Build the StatefulSet of one node.

    Args:
        metadata: Name, namespace and owner; the size is added as a label, since it is what tells a node of
            another size apart, whose volumes cannot be changed in place.
        node: Which node, and how large.
        image: Which Valkey to run.
    """
    selector = {names.LABEL_STORAGE: node.storage, names.LABEL_NODE: str(node.index)}
    spec: Object = {
        "replicas": 1,
        "serviceName": names.valkey_headless(node.storage),
        # OrderedReady would keep a pod of a faulty revision for ever, even once the revision is put right
        # (Kubernetes, "StatefulSets: forced rollback").
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": selector},
        "template": {
            "metadata": {
                "labels": labels_of(node.storage) | selector,
                "annotations": {names.ANNOTATION_CONFIG_HASH: valkey_config.config_hash(node.preset)},
            },
            "spec": _pod_spec(node, image),
        },
    }
    if node.preset.is_persistent:
        spec["volumeClaimTemplates"] = [_claim(node, metadata["ownerReferences"])]
    return {"metadata": metadata | {"labels": metadata["labels"] | {names.LABEL_SIZE: node.size}}, "spec": spec}


def _claim(node: Node, owners: Sequence[Object]) -> Object:
    # Data belongs to the storage: it goes with it, and stays when only the StatefulSet is deleted. The StatefulSet's
    # own retention policy would take the data away in both cases, and delays each first start by two seconds: it
    # changes a claim that the scheduler is about to bind.
    kept = [{key: owner[key] for key in ("apiVersion", "kind", "name", "uid")} for owner in owners]
    return {
        "metadata": {"name": "data", "labels": labels_of(node.storage), "ownerReferences": kept},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{node.preset.disk_gib}Gi"}},
        },
    }


def _pod_spec(node: Node, image: Image) -> Object:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": VALKEY_UID,
            "runAsGroup": VALKEY_UID,
            "fsGroup": VALKEY_UID,
            # A large volume would otherwise be walked at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(node.preset, image)],
        "volumes": _volumes(node),
    }


def _container(preset: Preset, image: Image) -> Object:
    memory = _quantity(preset.memory_mib)
    return {
        "name": CONTAINER,
        "image": image.reference,
        "imagePullPolicy": image.pull_policy,
        "command": ["sh", "-c", valkey_config.start_command()],
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
        # -e makes LOADING a failure: a node that still reads its AOF is alive, but not ready.
        "readinessProbe": _ping("-e") | {"initialDelaySeconds": 1, "periodSeconds": 5, "timeoutSeconds": 3},
        "livenessProbe": _ping("") | {"periodSeconds": 20, "timeoutSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [
            {"name": "data", "mountPath": valkey_config.DATA_DIRECTORY},
            {"name": "config", "mountPath": valkey_config.CONFIG_DIRECTORY, "readOnly": True},
            {"name": "acl", "mountPath": valkey_config.ACL_DIRECTORY, "readOnly": True},
            {"name": "live-acl", "mountPath": valkey_config.LIVE_ACL_DIRECTORY},
        ],
    }


def _quantity(mebibytes: int) -> str:
    """Write memory the way the API server stores it, or every look would take it for a change."""
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"


def _ping(option: str) -> Object:
    """Ask as the probe user; the password comes from a file, never from a command line."""
    password_file = f"{valkey_config.ACL_DIRECTORY}/{credentials.PROBE.key}"
    command = " ".join(filter(None, ["exec valkey-cli", option, f"--user {credentials.PROBE.user} ping"]))
    return {"exec": {"command": ["sh", "-c", f'REDISCLI_AUTH="$(cat {password_file})" {command}']}}


def _volumes(node: Node) -> list[Object]:
    items = [{"key": key, "path": key} for key in (names.KEY_USERS_ACL, credentials.PROBE.key)]
    volumes: list[Object] = [
        {"name": "config", "configMap": {"name": names.valkey(node.storage)}},
        {
            "name": "acl",
            "secret": {"secretName": names.auth_secret(node.storage), "items": items, "defaultMode": 0o440},
        },
        # In memory: hashes of passwords need not be on a disk of the host.
        {"name": "live-acl", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]
    if not node.preset.is_persistent:
        volumes.append({"name": "data", "emptyDir": {"sizeLimit": f"{node.preset.disk_gib}Gi"}})
    return volumes
