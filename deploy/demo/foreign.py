"""Checks whether a cluster that is not the local one has what the story and the tests need, and lists what it lacks.

The story itself tries what no check can see, above all whether the network plugin enforces NetworkPolicies.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import DemoError
from deploy.demo.kube import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deploy.demo.images import Images
    from deploy.demo.kube import Kube, Object

GUIDE: Final = 'docs/howto/install.md, "On a cluster of your own", has the commands.'
TOOLHIVE_CRD: Final = "mcpservers.toolhive.stacklok.dev"
DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
NAMESPACE: Final = "session-storage-images"
POD: Final = "images"
PULL_SECONDS: Final = 180
"""Enough for three images of 150 MB together, from a distant registry."""
REFUSED: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"})
"""Reasons for which the kubelet has no image. Source: k8s.io/kubernetes/pkg/kubelet/images/types.go."""


def require_answer(kube: Kube) -> None:
    """Check that the cluster answers.

    Raises:
        DemoError: It does not, or KUBECONFIG names no file, of which kubectl itself says nothing.
    """
    files = kube.environment["KUBECONFIG"].split(os.pathsep)
    if not any(map(os.path.exists, files)):
        raise DemoError(f"KUBECONFIG names {', '.join(files)}, and there is no such file")
    if complaint := kube.refusal("get", "nodes"):
        raise DemoError(f"The cluster that KUBECONFIG names does not answer: {complaint}")


def check(kube: Kube, images: Images) -> None:
    """Check the cluster, and run one pod for a moment to see whether nodes get the images.

    Raises:
        DemoError: Something is missing; the message lists all of it, and says where to read what to do.
    """
    require_answer(kube)
    missing = [*_lacking_parts(kube), *_lacking_images(kube, images)]
    if missing:
        lines = "".join(f"  - {each}\n" for each in missing)
        raise DemoError(f"The cluster that KUBECONFIG names lacks something:\n{lines}{GUIDE}")


def _lacking_parts(kube: Kube) -> Iterator[str]:
    if kube.get("customresourcedefinition", TOOLHIVE_CRD) is None:
        yield "ToolHive: install its charts toolhive-operator-crds and toolhive-operator"
    if not any(map(is_default, kube.items("storageclasses"))):
        yield f"a default StorageClass: annotate one with {DEFAULT_CLASS}=true"


def is_default(storage_class: Object) -> bool:
    """Tell whether this StorageClass is the cluster's default."""
    annotations: dict[str, str] = storage_class["metadata"].get("annotations", {})
    return annotations.get(DEFAULT_CLASS) == "true"


def _lacking_images(kube: Kube, images: Images) -> Iterator[str]:
    kube.create_namespace(NAMESPACE)
    with _removed(kube):
        kube.apply(pod_of(images))
        seen = until(
            "a node has tried to get the images",
            lambda: image_verdicts(kube.get("pod", POD, NAMESPACE) or {}, images.variables()),
            PULL_SECONDS,
        )
    for variable, image in images.variables().items():
        if reason := seen[variable]:
            yield (
                f"the image {image} ({reason}): load it into every node, or push it to a registry and set {variable}"
            )


@contextmanager
def _removed(kube: Kube) -> Iterator[None]:
    try:
        yield
    finally:
        kube.run("delete", "namespace", NAMESPACE, "--wait=false")


def container_name(variable: str) -> str:
    """Name the container that tries the image of an environment variable."""
    return variable.lower().replace("_", "-")


def pod_of(images: Images) -> Object:
    """Describe a pod that needs every image, and does nothing."""
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": container_name(variable),
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["true"],
                    "securityContext": restricted,
                }
                for variable, image in images.variables().items()
            ],
        },
    }


def image_verdicts(pod: Object, variables: Iterable[str]) -> dict[str, str]:
    """Tell for the image of each variable why the node lacks it; an empty text if the node has it.

    The answer is empty until the kubelet has decided on every image.
    """
    statuses = {status["name"]: status["state"] for status in pod.get("status", {}).get("containerStatuses", ())}
    found = {}
    for variable in variables:
        state = statuses.get(container_name(variable), {"waiting": {}})
        reason = state["waiting"].get("reason", "") if "waiting" in state else None
        if reason is not None and reason not in REFUSED:
            return {}
        found[variable] = reason or ""
    return found
