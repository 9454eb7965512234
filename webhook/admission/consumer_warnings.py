"""Warns of what is legal but unwise in a consumer that refers to a storage. Pure; refuses nothing.

Each warning fills about one line of a terminal and ends with what to do. The API server fills in the defaults of
ToolHive's schemas before it calls the webhook, so a field that is absent has no default.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from shared import names
from shared.consumers import auth_server
from shared.consumers.kinds import KEY_PREFIX, SESSION_STORAGE, connection_secret_of
from shared.consumers.reference import FIELD_PATH
from shared.consumers.targets import is_untrusted
from shared.objects.field_path import Path, dotted, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.consumers.injection import Injection
    from shared.consumers.reference import StorageReference
    from shared.consumers.storage_connection import StorageConnection
    from shared.consumers.targets import Target
    from shared.objects.resources import Object

_NAME: Final = itemgetter("name")
_PROVIDER: Final = (*SESSION_STORAGE, "provider")
_SECRETS: Final = ("spec", "secrets")
_PROXY_DEPLOYMENT_ENV: Final = ("spec", "resourceOverrides", "proxyDeployment", "env")


def _container_env(name: str) -> Path:
    return ("spec", "podTemplateSpec", "spec", "containers", name, "env")


_BACKEND_ENV: Final[Mapping[str, tuple[Path, ...]]] = {"MCPServer": (("spec", "env"), _container_env("mcp"))}
_PROXY_ENV: Final[Mapping[str, tuple[Path, ...]]] = {
    "MCPServer": (_PROXY_DEPLOYMENT_ENV,),
    "MCPRemoteProxy": (_PROXY_DEPLOYMENT_ENV, _container_env("toolhive")),
    "VirtualMCPServer": (_container_env("vmcp"),),
}
"""Where users set variables of backends and proxies, by kind of consumer."""


def warnings(injection: Injection, reference: StorageReference, storage: Object | None) -> tuple[str, ...]:
    """List what the author of a consumer should know.

    Args:
        injection: The consumer as it will be stored, and what was injected into it.
        reference: The storage that it refers to.
        storage: That storage, if it is known.
    """
    consumer, record, connection = injection
    found = [*_of_storage(consumer, reference, storage, connection), *_of_reference(consumer, reference)]
    if record is None:
        found.append(
            f'SessionStorage "{reference}" is not shared with this namespace: nothing is connected until somebody'
            " who may use it makes the reference anew"
        )
    else:
        found += _of_auth_server(consumer, reference, connection, record.target)
        found += _of_transport(consumer, reference)
        found += _of_key_prefix(consumer)
        found += _of_untrusted(consumer, reference)
        found += _of_plain_text(consumer, reference, connection)
        found += _of_variables(consumer, reference, connection, record.target)
    return tuple(dict.fromkeys(found)) if found else ()


def _of_storage(
    consumer: Object, reference: StorageReference, storage: Object | None, connection: StorageConnection
) -> Iterator[str]:
    if storage is None:
        secret = connection_secret_of(reference, consumer["metadata"]["namespace"])
        yield f'SessionStorage "{reference}" does not exist (yet): pods wait until Secret "{secret}" exists'
    elif not connection.supports_proxies and not auth_server.describes_only_an_auth_server(consumer):
        yield (
            f'SessionStorage "{reference}" is external, and ToolHive\'s proxies are not connected'
            f" ({connection.support}), only backends are: see its condition ProxiesSupported"
        )


def _of_reference(consumer: Object, reference: StorageReference) -> Iterator[str]:
    if not consumer["metadata"].get("name") and not auth_server.describes_only_an_auth_server(consumer):
        yield (
            "an object with metadata.generateName has no name yet: the webhook connects its proxies to the storage"
            " at the next change"
        )
    if reference.is_by_field and read(consumer, FIELD_PATH) is None:
        yield (
            f'SessionStorage "{reference}" stays connected, though the CRD lost spec.sessionStorageRef: to disconnect,'
            " set the field and remove it again"
        )


def _of_auth_server(
    consumer: Object, reference: StorageReference, connection: StorageConnection, target: Target
) -> Iterator[str]:
    """Say why an auth server keeps its data elsewhere than in the storage."""
    server = auth_server.SERVERS.get(consumer["kind"])
    if server is None or not target.has_proxy or not isinstance(described := read(consumer, server), dict):
        return
    if not connection.supports_auth_servers:
        if auth_server.is_in_own_store(described):
            return
        yield (
            f'{dotted(server)} is not connected: SessionStorage "{reference}" needs a password, database 0 and'
            f" ProxiesSupported ({connection.support})"
        )
    elif auth_server.keeps_in_memory(described):
        yield (
            f"{dotted(server)}.storage.type is memory, which a restart empties: without storage,"
            f' SessionStorage "{reference}" keeps it'
        )


def _of_key_prefix(consumer: Object) -> Iterator[str]:
    """Warn of what ToolHive's CRD takes and its proxies do not (`pkg/transport/session/storage_redis.go`)."""
    prefix = read(consumer, KEY_PREFIX)
    if isinstance(prefix, str) and not prefix.endswith(":"):
        yield f"{dotted(KEY_PREFIX)} does not end with ':': ToolHive's proxies refuse to start with it: add a ':'"


def _of_untrusted(consumer: Object, reference: StorageReference) -> Iterator[str]:
    if is_untrusted(consumer):
        yield (
            f'spec.untrusted is true: only the proxy is connected to SessionStorage "{reference}", and the backend gets'
            " no credential"
        )


def _of_transport(consumer: Object, reference: StorageReference) -> Iterator[str]:
    """Warn of what keeps proxies from sharing sessions.

    Source: ToolHive `mcpserver_controller.go` (one replica for stdio) and `mcpremoteproxy_types.go` (SessionAffinity).
    """
    if read(consumer, _PROVIDER) != "redis":
        # Each proxy keeps its sessions in memory then, and affinity leads clients back to them.
        return
    spec: Object = consumer["spec"]
    if spec.get("transport") == "stdio":
        yield (
            f'spec.transport is stdio: ToolHive runs one proxy, and SessionStorage "{reference}" only keeps sessions'
            " over restarts: for replicas, use streamable-http or sse"
        )
    elif spec.get("sessionAffinity") == "ClientIP" and (replicas := _several(spec.get("replicas"))):
        yield (
            f"spec.sessionAffinity is ClientIP: each client sticks to one of {replicas}, though all find its"
            f' sessions in SessionStorage "{reference}": set it to None'
        )


def _several(replicas: Any) -> str:
    """Put into words how many proxies there can be; empty if there is one at most.

    Without a number, ToolHive's operator leaves the count to whoever scales the Deployment, such as an autoscaler.
    Source: ToolHive `mcpserver_controller.go`, `resolveDeploymentReplicas`.
    """
    if replicas is None:
        return "however many replicas"
    return f"{replicas} replicas" if isinstance(replicas, int) and replicas > 1 else ""


def _of_plain_text(consumer: Object, reference: StorageReference, connection: StorageConnection) -> Iterator[str]:
    is_elsewhere = reference.namespace != consumer["metadata"]["namespace"]
    if is_elsewhere and connection.is_external and connection.endpoint is not None and not connection.endpoint.is_tls:
        yield (
            f'SessionStorage "{reference}" has no TLS: what this namespace sends crosses the network in plain text, the'
            " password included: ask its owner for rediss://"
        )


def _of_variables(
    consumer: Object, reference: StorageReference, connection: StorageConnection, target: Target
) -> Iterator[str]:
    """Name the user's variables that the connection Secret has too: Kubernetes prefers `env` to `envFrom`."""
    injected = _injected(connection)
    kind: str = consumer["kind"]
    backend = _BACKEND_ENV.get(kind, ()) if target.has_backend else ()
    proxy = _PROXY_ENV.get(kind, ()) if target.has_proxy else ()
    for path in backend + proxy:
        for entry in _entries_of(read(consumer, path), injected):
            yield _hides(path, entry, entry["name"], reference)
    if backend:
        for entry in _entries(read(consumer, _SECRETS)):
            # ToolHive names the variable after the key, unless `targetEnvName` is set.
            variable = entry.get("targetEnvName") or entry.get("key")
            if isinstance(variable, str) and variable in injected:
                yield _hides(_SECRETS, entry, variable, reference)


def _hides(path: Path, entry: Object, variable: str, reference: StorageReference) -> str:
    place = f"{dotted(path)}[{entry.get('name')}]"
    return f'{place} hides {variable} of SessionStorage "{reference}": rename it, unless this is meant'


def _injected(connection: StorageConnection) -> frozenset[str]:
    """Tell which variables the connection Secret may have."""
    if not connection.is_external:
        return names.CONNECTION_KEYS
    return names.EXTERNAL_CONNECTION_KEYS if connection.has_password else names.OPEN_CONNECTION_KEYS


def _entries_of(value: Any, injected: frozenset[str]) -> list[Object]:
    """Pick the entries that name one of these variables."""
    if not isinstance(value, list) or _names_none(value, injected):
        return []
    return [entry for entry in _entries(value) if isinstance(name := entry.get("name"), str) and name in injected]


def _names_none(value: list[Any], injected: frozenset[str]) -> bool:
    """Tell quickly that no entry has one of these names, as in nearly every consumer; some have a hundred entries."""
    try:
        return injected.isdisjoint(map(_NAME, value))
    except (TypeError, KeyError):
        return False


def _entries(value: Any) -> list[Object]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
