"""Which fields connect each kind of consumer to its storage. Pure.

ToolHive's operator either ignores these fields or reads them itself. Labels on a VirtualMCPServer's pods, or a pod
template for an MCPRemoteProxy, would make it rewrite a Deployment for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared import names
from shared.consumers import auth_server
from shared.consumers.credential_revision import CredentialRevision
from shared.consumers.storage_connection import ProxySupport
from shared.errors import InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from shared.consumers.reference import StorageReference
    from shared.consumers.storage_connection import StorageConnection
    from shared.consumers.targets import Target
    from shared.objects.field_path import Path
    from shared.objects.resources import Object

SESSION_STORAGE: Final = ("spec", "sessionStorage")
KEY_PREFIX: Final = (*SESSION_STORAGE, "keyPrefix")
_PROXY_PODS: Final = ("spec", "resourceOverrides", "proxyDeployment", "podTemplateMetadataOverrides")
_TEMPLATE: Final = ("spec", "podTemplateSpec", "metadata")


def _containers(name: str) -> Path:
    return ("spec", "podTemplateSpec", "spec", "containers", name)


@dataclass(frozen=True, slots=True)
class ConsumerKind:
    """Paths of the fields that connect one kind of consumer; None if the kind has no such field.

    `backend` and `proxy` are the containers that run them; the other fields are labels and annotations of their pods.
    A kind without sessions refers to a storage for its embedded auth server (`auth_server.SERVERS`).
    """

    backend: Path | None = None
    backend_labels: Path | None = None
    proxy: Path | None = None
    proxy_labels: Path | None = None
    backend_annotations: Path | None = None
    proxy_annotations: Path | None = None
    has_sessions: bool = True


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
    "MCPExternalAuthConfig": ConsumerKind(has_sessions=False),
}
"""Source: ToolHive `cmd/thv-operator/api/v1beta1/{mcpserver,mcpremoteproxy,virtualmcpserver}_types.go`, and how each
controller compares the objects that it wrote with those that it finds."""


def kind_of(consumer: Object) -> ConsumerKind:
    """Look up a consumer's kind.

    Raises:
        InvalidSpec: Objects of this kind keep nothing in a storage.
    """
    kind = KINDS.get(str(consumer.get("kind")))
    if kind is None:
        raise InvalidSpec(["kind: Unsupported value: supported values: " + ", ".join(f'"{known}"' for known in KINDS)])
    return kind


def connection_secret_of(reference: StorageReference, consumer_namespace: str) -> str:
    """Name the Secret in the consumer's namespace that holds the storage's connection."""
    if reference.namespace == consumer_namespace:
        return names.connection_secret(reference.name)
    return names.mirrored_connection_secret(reference.name, reference.namespace)


def required_fields(
    consumer: Object, reference: StorageReference, connection: StorageConnection, target: Target
) -> Iterator[tuple[Path, Any]]:
    """List the fields that a consumer of this storage must have, by path; a field with the value None must be absent.

    Raises:
        InvalidSpec: Objects of the consumer's kind keep nothing in a storage.
    """
    kind = kind_of(consumer)
    secret = connection_secret_of(reference, consumer["metadata"].get("namespace") or "")
    has_backend, has_proxy = target.has_backend, target.has_proxy
    for is_connected, container in ((has_backend, kind.backend), (has_proxy, kind.proxy)):
        if is_connected and container:
            # The last entry: if two sources have the same variable, Kubernetes takes the last one.
            yield (*container, "envFrom", secret), {"secretRef": {"name": secret}}
    if not connection.is_external:
        # The NetworkPolicy of a managed storage admits pods by these labels; an external store has no policy of ours.
        if has_backend and kind.backend_labels:
            yield (*kind.backend_labels, names.LABEL_CONSUMER_OF), reference.name
        if has_proxy and kind.proxy_labels:
            yield (*kind.proxy_labels, names.LABEL_COMPONENT), names.COMPONENT_PROXY
    if current := CredentialRevision.of(consumer):
        # Pods read the credential only when they start, so a new credential has to change their template.
        if has_backend and kind.backend_annotations:
            yield (*kind.backend_annotations, names.ANNOTATION_REVISION), current.revision
        if has_proxy and kind.proxy_annotations:
            yield (*kind.proxy_annotations, names.ANNOTATION_REVISION), current.revision
    if has_proxy and kind.has_sessions:
        yield from _session_storage(connection, secret, consumer)


def auth_server_fields(
    consumer: Object,
    reference: StorageReference,
    connection: StorageConnection,
    target: Target,
    ours: Container[Path],
) -> Mapping[Path, Any]:
    """List the fields by which the consumer's auth server keeps its data in this storage; none if it does not.

    Args:
        consumer: Of any kind in `KINDS`.
        reference: The storage.
        connection: How consumers connect to it.
        target: Which parts of the consumer are connected; the auth server runs in the proxy.
        ours: Fields that the webhook injected earlier.

    Raises:
        InvalidSpec: An MCPExternalAuthConfig describes no auth server.
    """
    if not target.has_proxy:
        return {}
    secret = connection_secret_of(reference, consumer["metadata"].get("namespace") or "")
    fields = auth_server.required_fields(consumer, connection, secret, _tls(connection, secret), ours)
    return {} if auth_server.is_kept_elsewhere(consumer, fields, ours) else fields


def _session_storage(connection: StorageConnection, secret: str, consumer: Object) -> Iterator[tuple[Path, Any]]:
    """Fill in ToolHive's own field, which its proxies read (`mcpserver_types.go`, SessionStorageConfig)."""
    metadata, endpoint = consumer["metadata"], connection.endpoint
    name = metadata.get("name")
    if not name or endpoint is None or not connection.supports_proxies:
        # An object with generateName gets its name after admission, so it has no key prefix of its own yet.
        return
    password = {"name": secret, "key": names.KEY_REDIS_PASSWORD}
    yield (*SESSION_STORAGE, "provider"), "redis"
    yield (*SESSION_STORAGE, "address"), endpoint.address
    yield (*SESSION_STORAGE, "db"), endpoint.db
    yield KEY_PREFIX, names.key_prefix(consumer["kind"], metadata.get("namespace") or "", name)
    yield (*SESSION_STORAGE, "passwordRef"), password if connection.has_password else None
    yield (*SESSION_STORAGE, "tls"), _tls(connection, secret)


def _tls(connection: StorageConnection, secret: str) -> Object | None:
    if connection.support is ProxySupport.CA_TLS:
        return {"caCertSecretRef": {"name": secret, "key": names.KEY_CA}}
    return {} if connection.support is ProxySupport.SYSTEM_TLS else None
