"""What a platform team gives a namespace: labels by which its policies are in force, quotas, and credentials."""

from __future__ import annotations

import base64
import json
from typing import Final

from deploy.demo import installation
from deploy.demo.kube import Kube, Object
from deploy.demo.stage import EXTERNAL_NAMESPACE, NAMESPACE
from deploy.local.home import Cluster
from deploy.local.profile import HOUSE
from tests.e2e.namespaces import TOOLHIVE

PULL_SECRET: Final = "registry"
MAX_MEMORY: Final = "2Gi"
NAMESPACES: Final = (NAMESPACE, EXTERNAL_NAMESPACE, installation.NAMESPACE, TOOLHIVE)
"""Where the rules are in force: users' namespaces, the release's, and ToolHive's, which has the storage `large`."""


def image(local: str) -> str:
    """Name an image as people write it here: in the registry that asks for credentials."""
    return f"{HOUSE.origin}/{local.rpartition('/')[2]}"


def prepare(kube: Kube) -> None:
    """Make the namespaces, with labels by which the policies are in force, and with quotas.

    By server-side apply: `kubectl apply` of a namespace without these labels would remove what it wrote itself before.
    """
    described = {"labels": HOUSE.labels, "annotations": HOUSE.annotations}
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name} | described} for name in NAMESPACES
    ]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": namespaces})
    kube.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=listed)
    kube.apply(*(each for name in NAMESPACES for each in bounds(name)))


def bounds(namespace: str) -> tuple[Object, Object]:
    """Build a quota that counts CPU limits, and a LimitRange that sets none: each container must state its own."""
    metadata = {"name": "team", "namespace": namespace}
    hard = {"requests.cpu": "8", "limits.cpu": "32", "requests.memory": "16Gi", "limits.memory": "32Gi"}
    of_containers = {"type": "Container", "max": {"memory": MAX_MEMORY}, "min": {"memory": "16Mi"}}
    limits = [of_containers, {"type": "PersistentVolumeClaim", "max": {"storage": "20Gi"}}]
    return (
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}},
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": limits}},
    )


def pull_secret(namespace: str) -> Object:
    """Build the Secret with the credentials of the registry; never print it."""
    registry = Cluster.of_this_cache().registry
    assert registry is not None
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": PULL_SECRET, "namespace": namespace},
        "data": {".dockerconfigjson": base64.b64encode(registry.credentials.read_bytes()).decode()},
    }
