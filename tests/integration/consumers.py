"""Builds, reads and changes consumers of every kind on a real API server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from shared.consumers.toolhive import CONSUMER_RESOURCES, SESSION_RESOURCES
from tests.integration.mcpservers import ANNOTATION, RECORD
from tests.integration.processes import eventually
from tests.support.generated import LEAST

if TYPE_CHECKING:
    from shared.objects.resources import Object
    from tests.integration.control_plane import Kubectl

RESOURCES = {resource.kind: resource for resource in CONSUMER_RESOURCES}
PLURALS = {resource.kind: f"{resource.plural}.{resource.version}.{resource.group}" for resource in SESSION_RESOURCES}
KINDS = tuple(PLURALS)


def consumer(kind: str, namespace: str, annotations: Any = None, **spec: Any) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1beta1",
        "kind": kind,
        "metadata": {"name": "srv", "namespace": namespace, "annotations": annotations or {}},
        "spec": {**LEAST[kind], **spec},
    }


def referring(kind: str, namespace: str, way: str, storage: str = "mine") -> Object:
    """Build a consumer that refers to a storage in one of the three possible ways."""
    match way:
        case "annotation":
            return consumer(kind, namespace, {ANNOTATION: storage})
        case "object":
            return consumer(kind, namespace, sessionStorageRef={"name": storage, "namespace": namespace})
        case _:
            return consumer(kind, namespace, sessionStorageRef=storage)


WAYS = ("string", "object", "annotation")


def found(kubectl: Kubectl, kind: str, namespace: str, name: str = "srv") -> Object:
    return kubectl.api.get(RESOURCES[kind], namespace, name)


def change(kubectl: Kubectl, kind: str, namespace: str, patch: Any, *options: str) -> Object:
    return kubectl.api.change(RESOURCES[kind], namespace, "srv", patch, *options)


def change_is_refused(kubectl: Kubectl, kind: str, namespace: str, patch: Any, *options: str) -> str:
    return kubectl.api.change_refusal(RESOURCES[kind], namespace, "srv", patch, *options)


def await_injection_of_all(kubectl: Kubectl) -> None:
    """Wait until API servers call the webhook and all of ToolHive's CRDs have the field."""

    def is_connected(kind: str) -> bool:
        asked = referring(kind, "default", "string", "probe")
        return RECORD in kubectl.api.create(asked, "--dry-run=server")["metadata"]["annotations"]

    for kind in KINDS:
        eventually(partial(is_connected, kind), what=f"{kind} is connected")
