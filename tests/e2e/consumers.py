"""One consumer of each kind, connected by the field and by the annotation, and a twin that is not connected at all.

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
"""A virtual server calls a backend healthy after the second look; 30 s apart by default."""
TOOL: Final = "hostname"
"""Of the MCP server; virtual servers put their backend's name before it."""


@dataclass(frozen=True)
class Consumer:
    """A consumer that a run makes.

    Attributes:
        kind: As in its manifest.
        name: Of the object, and of the Deployment that ToolHive makes for it.
        replicas: How many proxies it has.
    """

    kind: str
    name: str
    replicas: int = 1

    @property
    def proxy_kind(self) -> ProxyKind:
        """What its proxies are like."""
        return PROXY_KINDS[self.kind]

    @property
    def resource(self) -> str:
        """What kubectl calls it."""
        return RESOURCES[self.kind]

    @property
    def prefix(self) -> str:
        """What its keys in the store begin with."""
        return key_prefix(self.kind, KINDS, self.name)

    @property
    def tool(self) -> str:
        """The name under which its clients find the tool."""
        return f"{ORIGIN}_{TOOL}" if self.kind == "VirtualMCPServer" else TOOL

    def proxies(self, kube: Kube) -> Proxies:
        """Its proxies."""
        return Proxies(kube, self.name, KINDS, self.proxy_kind)


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
WIRED_BY_FIELD: Final = (
    Consumer("MCPServer", "server", 2),
    Consumer("MCPRemoteProxy", "remote", 2),
    Consumer("VirtualMCPServer", "virtual", 2),
)
WIRED_BY_ANNOTATION: Final = (
    Consumer("MCPServer", "noted-server"),
    Consumer("MCPRemoteProxy", "noted-remote"),
    Consumer("VirtualMCPServer", "noted-virtual"),
)
WIRED: Final = WIRED_BY_FIELD + WIRED_BY_ANNOTATION
UNWIRED: Final = (
    Consumer("MCPServer", ORIGIN),
    Consumer("MCPRemoteProxy", "plain-remote"),
    Consumer("VirtualMCPServer", "plain-virtual"),
)


def apply(kube: Kube, image: str) -> None:
    """Make all of them and their storage; they start while the caller goes on."""
    by_field = (manifest(consumer, image, **BY_FIELD, **PAIR) for consumer in WIRED_BY_FIELD)
    by_annotation = (annotated(manifest(consumer, image)) for consumer in WIRED_BY_ANNOTATION)
    unwired = (manifest(consumer, image, **in_group(consumer)) for consumer in UNWIRED)
    kube.apply(storage(STORAGE, KINDS, size="small"), group(), *unwired, *by_field, *by_annotation)


def manifest(consumer: Consumer, image: str, **spec: object) -> Object:
    """Write the manifest of a consumer, as small as its kind allows."""
    if consumer.kind == "MCPServer":
        return server(consumer.name, KINDS, image, **spec)
    if consumer.kind == "MCPRemoteProxy":
        own: dict[str, object] = {"remoteUrl": f"http://mcp-{ORIGIN}-proxy.{KINDS}.svc:8080/mcp"}
    else:
        own = {"groupRef": {"name": GROUP}, "incomingAuth": {"type": "anonymous"}, "config": BRISK}
    return toolhive(consumer.kind, consumer.name, **own, **spec)


def group() -> Object:
    """Write the group that virtual servers aggregate."""
    return toolhive("MCPGroup", GROUP)


def in_group(consumer: Consumer) -> dict[str, object]:
    """Put the origin into the group, and nothing else."""
    return {"groupRef": {"name": GROUP}} if consumer.name == ORIGIN else {}


def annotated(obj: Object) -> Object:
    """Refer to the storage by annotation."""
    return {**obj, "metadata": {**obj["metadata"], "annotations": {ANNOTATION_STORAGE: STORAGE}}}


def toolhive(kind: str, name: str, **spec: object) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1beta1",
        "kind": kind,
        "metadata": {"name": name, "namespace": KINDS},
        "spec": spec,
    }
