"""The Kubernetes resources that this project reads or writes, and where the API serves them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from shared.names import GROUP

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON; unknown fields are kept."""

Key: TypeAlias = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is empty."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind, as the API serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """What an object of this kind says in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, or of one object if `name` is given."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


SESSION_STORAGES: Final = Resource(GROUP, "v1alpha1", "sessionstorages", "SessionStorage")
"""In the version that every release serves, so that this one survives a rollback of the CRD (ADR 40)."""
MCP_SERVERS: Final = Resource(GROUP, "v1beta1", "mcpservers", "MCPServer")
MCP_REMOTE_PROXIES: Final = Resource(GROUP, "v1beta1", "mcpremoteproxies", "MCPRemoteProxy")
VIRTUAL_MCP_SERVERS: Final = Resource(GROUP, "v1beta1", "virtualmcpservers", "VirtualMCPServer")
MCP_EXTERNAL_AUTH_CONFIGS: Final = Resource(GROUP, "v1beta1", "mcpexternalauthconfigs", "MCPExternalAuthConfig")

SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES: Final = Resource("", "v1", "services", "Service")
ENDPOINTS: Final = Resource("", "v1", "endpoints", "Endpoints")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
PODS: Final = Resource("", "v1", "pods", "Pod")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
VOLUME_CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
CORE_EVENTS: Final = Resource("", "v1", "events", "Event")
"""The same Events under their older name, by which they can be selected by the object that they are about."""
SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
CRDS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
MUTATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)


def last_written(obj: Object) -> str:
    """Return when anybody last changed an object, as Kubernetes writes times: such texts sort by time."""
    metadata = obj["metadata"]
    written = [entry["time"] for entry in metadata.get("managedFields") or [] if entry.get("time")]
    times: list[str] = [metadata["creationTimestamp"], *written]
    return max(times)


def is_terminating(obj: Object | None) -> bool:
    """Tell whether somebody has deleted an object that still exists."""
    return bool((obj or {}).get("metadata", {}).get("deletionTimestamp"))


def annotation_of(obj: Object, name: str) -> str:
    """Read an annotation; empty if there is none."""
    value: str = (obj["metadata"].get("annotations") or {}).get(name, "")
    return value


def key_of(obj: Object) -> Key:
    """Tell an object's (namespace, name)."""
    metadata = obj.get("metadata", {})
    return metadata.get("namespace", ""), metadata.get("name", "")
