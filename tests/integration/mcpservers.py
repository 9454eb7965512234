"""Builds and reads MCPServers on a real API server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.objects.resources import CRDS, MCP_SERVERS, Object
from tests.integration.installation import toolhive_crd
from tests.integration.processes import eventually

if TYPE_CHECKING:
    from tests.integration.control_plane import Kubectl

ANNOTATION = "toolhive.stacklok.dev/session-storage"
RECORD = "toolhive.stacklok.dev/session-storage-wired"
TOOLHIVE_CRD = "mcpservers.toolhive.stacklok.dev"


def server(namespace: str, version: str = "v1beta1", annotations: Any = None, **spec: Any) -> Object:
    return {
        "apiVersion": f"toolhive.stacklok.dev/{version}",
        "kind": "MCPServer",
        "metadata": {"name": "srv", "namespace": namespace, "annotations": annotations or {}},
        "spec": {"image": "mcp:latest", **spec},
    }


def stored(kubectl: Kubectl, namespace: str, version: str = "v1beta1") -> Object:
    return kubectl.api.get(replace(MCP_SERVERS, version=version), namespace, "srv")


def defaults(kubectl: Kubectl) -> Object:
    """Return the spec that ToolHive's schema gives to a server with nothing but an image."""
    spec: Object = kubectl.api.create(server("default"), "--dry-run=server")["spec"]
    return spec


def injected_fields(storage: str, namespace: str) -> Object:
    """Return everything that injection adds to the spec of server `srv` in the storage's own namespace."""
    secret = f"{storage}-connection"
    return {
        "podTemplateSpec": {
            "metadata": {"labels": {"toolhive.stacklok.dev/session-storage": storage}},
            "spec": {"containers": [{"name": "mcp", "envFrom": [{"secretRef": {"name": secret}}]}]},
        },
        "resourceOverrides": {
            "proxyDeployment": {
                "podTemplateMetadataOverrides": {"labels": {"toolhive.stacklok.dev/component": "proxy"}},
            },
        },
        "sessionStorage": {
            "provider": "redis",
            "address": f"{storage}-valkey.{namespace}.svc:6379",
            "db": 0,
            "keyPrefix": f"thv:proxy:session:{{{namespace}:srv}}:",
            "passwordRef": {"name": secret, "key": "REDIS_PASSWORD"},
        },
    }


def await_injection(kubectl: Kubectl) -> None:
    """Wait until API servers call the webhook and ToolHive's CRD has the field; the reconciler does both first."""
    probe = server("default", sessionStorageRef="probe")

    def is_connected() -> bool:
        return "sessionStorage" in kubectl.api.create(probe, "--dry-run=server")["spec"]

    eventually(is_connected, what="MCPServers are connected")


def install_toolhive_crd(kubectl: Kubectl) -> None:
    """Install ToolHive's own CRD as Helm does, which removes everything else from it."""
    manifest = str(toolhive_crd("mcpservers"))
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", manifest)


def has_field(kubectl: Kubectl) -> bool:
    """Return whether ToolHive's CRD has `sessionStorageRef` in every version."""
    crd = kubectl.api.get(CRDS, "", TOOLHIVE_CRD)
    schemas = [version["schema"]["openAPIV3Schema"] for version in crd["spec"]["versions"]]
    return all("sessionStorageRef" in schema["properties"]["spec"]["properties"] for schema in schemas)
