"""Consumers of each kind: connected by the field, connected by the annotation, and a twin that is not connected.

`origin` is an ordinary MCP server; remote proxies forward to it, virtual servers aggregate it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deploy.demo.kube import Kube, Object
from deploy.demo.proxies import MCP_REMOTE_PROXY, MCP_SERVER, VIRTUAL_MCP_SERVER, Proxies, ProxyKind
from shared.names import ANNOTATION_STORAGE, key_prefix
from tests.e2e.namespaces import KINDS
from tests.e2e.storages import server, storage

STORAGE: Final = "of-all-kinds"
ORIGIN: Final = "origin"
GROUP: Final = "group"
BY_FIELD: Final = {"sessionStorageRef": STORAGE}
PAIR: Final = {"replicas": 2, "sessionAffinity": "None"}
BRISK: Final = {"operational": {"failureHandling": {"healthCheckInterval": "5s", "healthCheckTimeout": "3s"}}}
"""Virtual servers' health checks: a backend counts as healthy after the second; the default interval is 30 s."""
TOOL: Final = "hostname"
"""The MCP server's tool; virtual servers prefix it with the name of their backend."""


@dataclass(frozen=True)
class Consumer:
    """A consumer that a run creates.

    Attributes:
        kind: Kind in its manifest.
        name: Name of the object, and of the Deployment that ToolHive creates for it.
        replicas: Number of its proxies.
        namespace: Where it is.
    """

    kind: str
    name: str
    replicas: int = 1
    namespace: str = KINDS

    @property
    def proxy_kind(self) -> ProxyKind:
        """The shape of its proxies."""
        return PROXY_KINDS[self.kind]

    @property
    def resource(self) -> str:
        """kubectl's name of its kind."""
        return RESOURCES[self.kind]

    @property
    def prefix(self) -> str:
        """The prefix of its keys in the store."""
        return key_prefix(self.kind, self.namespace, self.name)

    @property
    def tool(self) -> str:
        """The name of the tool for its clients."""
        return self.named(TOOL)

    def named(self, tool: str) -> str:
        """Name a tool of `origin` as clients of this consumer do."""
        return f"{ORIGIN}_{tool}" if self.kind == "VirtualMCPServer" else tool

    def proxies(self, kube: Kube) -> Proxies:
        """Its proxies."""
        return Proxies(kube, self.name, self.namespace, self.proxy_kind)


PROXY_KINDS: Final = {
    "MCPServer": MCP_SERVER,
    "MCPRemoteProxy": MCP_REMOTE_PROXY,
    "VirtualMCPServer": VIRTUAL_MCP_SERVER,
}
RESOURCES: Final = {
    "MCPServer": "mcpservers",
    "MCPRemoteProxy": "mcpremoteproxies",
    "VirtualMCPServer": "virtualmcpservers",
}
CONNECTED_BY_FIELD: Final = (
    Consumer("MCPServer", "server", 2),
    Consumer("MCPRemoteProxy", "remote", 2),
    Consumer("VirtualMCPServer", "virtual", 2),
)
CONNECTED_BY_ANNOTATION: Final = (
    Consumer("MCPServer", "noted-server"),
    Consumer("MCPRemoteProxy", "noted-remote"),
    Consumer("VirtualMCPServer", "noted-virtual"),
)
CONNECTED: Final = CONNECTED_BY_FIELD + CONNECTED_BY_ANNOTATION
UNCONNECTED: Final = (
    Consumer("MCPServer", ORIGIN),
    Consumer("MCPRemoteProxy", "plain-remote"),
    Consumer("VirtualMCPServer", "plain-virtual"),
)


def apply(kube: Kube, image: str) -> None:
    """Create all consumers and their storage; they start while the caller goes on."""
    by_field = (manifest(consumer, image, **BY_FIELD, **PAIR) for consumer in CONNECTED_BY_FIELD)
    by_annotation = (annotated(manifest(consumer, image)) for consumer in CONNECTED_BY_ANNOTATION)
    unconnected = (manifest(consumer, image, **in_group(consumer)) for consumer in UNCONNECTED)
    kube.apply(storage(STORAGE, KINDS, size="small"), group(), *unconnected, *by_field, *by_annotation)


def manifest(consumer: Consumer, image: str, **spec: object) -> Object:
    """Build the smallest manifest that the kind allows."""
    if consumer.kind == "MCPServer":
        return server(consumer.name, consumer.namespace, image, **spec)
    if consumer.kind == "MCPRemoteProxy":
        own: dict[str, object] = {"remoteUrl": f"http://mcp-{ORIGIN}-proxy.{consumer.namespace}.svc:8080/mcp"}
    else:
        own = {"groupRef": {"name": GROUP}, "incomingAuth": {"type": "anonymous"}, "config": BRISK}
    return toolhive(consumer.kind, consumer.name, consumer.namespace, **own, **spec)


def group(namespace: str = KINDS) -> Object:
    """Build the MCPGroup that virtual servers aggregate."""
    return toolhive("MCPGroup", GROUP, namespace)


def in_group(consumer: Consumer) -> dict[str, object]:
    """Return the group reference of `origin`, the only server in the group."""
    return {"groupRef": {"name": GROUP}} if consumer.name == ORIGIN else {}


def annotated(obj: Object) -> Object:
    """Refer to the storage by annotation."""
    return {**obj, "metadata": {**obj["metadata"], "annotations": {ANNOTATION_STORAGE: STORAGE}}}


def toolhive(kind: str, name: str, namespace: str, **spec: object) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1beta1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
