"""Which fields connect each kind of consumer to its storage. Pure.

Only fields that ToolHive's operator leaves alone or reads itself: labels on a VirtualMCPServer's pods, or a pod
template for an MCPRemoteProxy, would make it rewrite a Deployment for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shared import names
from shared.consumers.credential_revision import Stamp
from shared.consumers.storage_endpoint import ProxySupport
from shared.errors import InvalidSpec
from shared.objects.field_path import Path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.consumers.reference import StorageReference
    from shared.consumers.storage_endpoint import Store
    from shared.consumers.targets import Target
    from shared.objects.resources import Object

SESSION_STORAGE: Final = ("spec", "sessionStorage")
Fields: TypeAlias = tuple[Path, Mapping[str, Any]]
"""Fields of one object, or entries of one array: its path, and the values by the last step of theirs."""
_PROXY_PODS: Final = ("spec", "resourceOverrides", "proxyDeployment", "podTemplateMetadataOverrides")
_TEMPLATE: Final = ("spec", "podTemplateSpec", "metadata")


def _containers(name: str) -> Path:
    return ("spec", "podTemplateSpec", "spec", "containers", name)


@dataclass(frozen=True, slots=True)
class ConsumerKind:
    """Where one kind of consumer takes what; a kind without such a place has None.

    Attributes:
        backend: The container that runs the backend.
        backend_labels: Labels of backend pods.
        proxy: The container that runs the proxy, if its pod template is the user's to shape.
        proxy_labels: Labels of proxy pods.
        backend_annotations: Annotations of backend pods.
        proxy_annotations: Annotations of proxy pods.
    """

    backend: Path | None = None
    backend_labels: Path | None = None
    proxy: Path | None = None
    proxy_labels: Path | None = None
    backend_annotations: Path | None = None
    proxy_annotations: Path | None = None


KINDS: Final[Mapping[str, ConsumerKind]] = {
    "MCPServer": ConsumerKind(
        backend=_containers("mcp"),
        backend_labels=(*_TEMPLATE, "labels"),
        proxy_labels=(*_PROXY_PODS, "labels"),
        backend_annotations=(*_TEMPLATE, "annotations"),
        proxy_annotations=(*_PROXY_PODS, "annotations"),
    ),
    "MCPRemoteProxy": ConsumerKind(
        proxy_labels=(*_PROXY_PODS, "labels"), proxy_annotations=(*_PROXY_PODS, "annotations")
    ),
    "VirtualMCPServer": ConsumerKind(proxy=_containers("vmcp"), proxy_annotations=(*_TEMPLATE, "annotations")),
}
"""Source: ToolHive `cmd/thv-operator/api/v1beta1/{mcpserver,mcpremoteproxy,virtualmcpserver}_types.go`, and how each
controller compares what it made."""


def kind_of(consumer: Object) -> ConsumerKind:
    """Look a consumer's kind up.

    Raises:
        InvalidSpec: The kind is none that keeps sessions.
    """
    kind = KINDS.get(str(consumer.get("kind")))
    if kind is None:
        raise InvalidSpec(["kind: Unsupported value: supported values: " + ", ".join(f'"{known}"' for known in KINDS)])
    return kind


def secret_of(reference: StorageReference, consumer_namespace: str) -> str:
    """Name the Secret beside the consumer that holds the storage's connection."""
    if reference.namespace == consumer_namespace:
        return names.connection_secret(reference.name)
    return names.mirrored_connection_secret(reference.name, reference.namespace)


def settings(consumer: Object, reference: StorageReference, store: Store, target: Target) -> Iterator[Fields]:
    """List the fields that a consumer of this storage has, by what holds them; None is a field that it must not have.

    Raises:
        InvalidSpec: The consumer's kind is none that keeps sessions.
    """
    kind = kind_of(consumer)
    metadata: Object = consumer["metadata"]
    namespace, name = metadata.get("namespace") or "", metadata.get("name")
    secret = secret_of(reference, namespace)
    has_backend, has_proxy = target.has_backend, target.has_proxy
    for is_meant, container in ((has_backend, kind.backend), (has_proxy, kind.proxy)):
        if is_meant and container:
            # Appended, because of two sources with the same variable the last one wins.
            yield (*container, "envFrom"), {secret: {"secretRef": {"name": secret}}}
    if not store.is_external:
        # What the NetworkPolicy admits; other people's stores have none of ours.
        if has_backend and kind.backend_labels:
            yield kind.backend_labels, {names.LABEL_CONSUMER_OF: reference.name}
        if has_proxy and kind.proxy_labels:
            yield kind.proxy_labels, {names.LABEL_COMPONENT: names.COMPONENT_PROXY}
    if stamp := Stamp.of(consumer):
        # Changes whenever the storage has a new credential, and with it the pods: they read it only as they start.
        if has_backend and kind.backend_annotations:
            yield kind.backend_annotations, {names.ANNOTATION_REVISION: stamp.revision}
        if has_proxy and kind.proxy_annotations:
            yield kind.proxy_annotations, {names.ANNOTATION_REVISION: stamp.revision}
    if name and has_proxy and store.endpoint is not None and store.supports_proxies:
        # With generateName there is no name before admission, and without a name no key prefix of one's own.
        # This is ToolHive's own field, which its proxies read, with everything that it can say (`mcpserver_types.go`,
        # SessionStorageConfig).
        yield (
            SESSION_STORAGE,
            {
                "provider": "redis",
                "address": store.endpoint.address,
                "db": store.endpoint.db,
                "keyPrefix": names.key_prefix(consumer["kind"], namespace, name),
                "passwordRef": {"name": secret, "key": names.KEY_REDIS_PASSWORD} if store.has_password else None,
                "tls": _tls(store, secret),
            },
        )


def _tls(store: Store, secret: str) -> Object | None:
    if store.support is ProxySupport.CA_TLS:
        return {"caCertSecretRef": {"name": secret, "key": names.KEY_CA}}
    return {} if store.support is ProxySupport.SYSTEM_TLS else None
