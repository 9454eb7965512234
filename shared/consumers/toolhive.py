"""ToolHive's kinds, labels and schemas, as far as this project reads them. Pure.

Source: ToolHive `cmd/thv-operator/api/v1beta1` and `cmd/thv-operator/controllers`, releases 0.44 to 0.63.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared import names
from shared.objects.resources import (
    MCP_EXTERNAL_AUTH_CONFIGS,
    MCP_REMOTE_PROXIES,
    MCP_SERVERS,
    VIRTUAL_MCP_SERVERS,
    Object,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION_RESOURCES: Final = (MCP_SERVERS, MCP_REMOTE_PROXIES, VIRTUAL_MCP_SERVERS)
"""Kinds that keep sessions."""
CONSUMER_RESOURCES: Final = (*SESSION_RESOURCES, MCP_EXTERNAL_AUTH_CONFIGS)
"""Kinds that refer to storages: of the last one, an embedded auth server keeps its data there."""
PROXY_NAMES: Final = ("mcpserver", "mcpremoteproxy", "virtualmcpserver")
"""Values of `app.kubernetes.io/name` on proxies: their Deployments and pods."""
PROXY_SELECTOR: Final = f"toolhive=true,app.kubernetes.io/name in ({','.join(PROXY_NAMES)})"

_OURS: Final = frozenset({names.ANNOTATION_STORAGE, names.ANNOTATION_TARGETS, names.ANNOTATION_INJECTION})
_KEPT: Final = ("namespace", "name", "uid", "resourceVersion", "deletionTimestamp")


def serves_session_tls(crd: Object) -> bool:
    """Tell whether every served version of a consumer's CRD has `spec.sessionStorage.tls`, as ToolHive has since 0.49.

    With an older schema, the API server prunes the field silently, and the proxy would speak plain text to a TLS port.
    """
    served = [spec_properties(version) for version in crd["spec"]["versions"] if version.get("served")]
    return all("tls" in properties.get("sessionStorage", {}).get("properties", {}) for properties in served)


def spec_properties(version: Mapping[str, Any]) -> Object:
    """Return the schema's properties of `spec` in one version of a CRD."""
    schema = version.get("schema", {}).get("openAPIV3Schema", {})
    properties: Object = schema.get("properties", {}).get("spec", {}).get("properties", {})
    return properties


def reference_fields_of(consumer: Object) -> Object:
    """Strip a consumer to the fields that tell which storage it uses: whole specs take a hundred times the memory."""
    metadata = consumer["metadata"]
    kept = {field: metadata[field] for field in _KEPT if field in metadata}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key in _OURS}
    reference = (consumer.get("spec") or {}).get("sessionStorageRef")
    return {
        "kind": consumer.get("kind"),
        "metadata": {**kept, "annotations": annotations},
        "spec": {"sessionStorageRef": reference},
    }
