"""Says what is legal but unwise about a consumer that refers to a storage. Pure; refuses nothing.

Each warning is about one line of a terminal, and ends with what to do. ToolHive's schemas have filled in their defaults
before anybody is asked, so that a field which is absent has none.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from shared import names
from shared.consumers import injection
from shared.consumers.injection_record import record_of
from shared.consumers.kinds import SESSION_STORAGE, secret_of
from shared.consumers.storage_endpoint import store_of
from shared.objects.field_path import Path, dotted, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.consumers.reference import StorageReference
    from shared.consumers.storage_endpoint import Store
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


def warnings(wired: Object, reference: StorageReference, storage: Object | None) -> tuple[str, ...]:
    """List what the author of a consumer should know.

    Args:
        wired: The consumer as it will be stored.
        reference: The storage that it refers to.
        storage: That storage, if it is known.
    """
    store, record = store_of(reference, storage), record_of(wired)
    found = [*_of_storage(wired, reference, storage, store), *_of_reference(wired, reference)]
    if record is None:
        found.append(
            f'SessionStorage "{reference}" is not shared with this namespace, and who referred to it may not use it:'
            " nothing is connected until one who may refers to it anew"
        )
    else:
        found += _of_transport(wired, reference)
        found += _of_plain_text(wired, reference, store)
        found += _of_variables(wired, reference, store, record.target)
    return tuple(dict.fromkeys(found)) if found else ()


def _of_storage(wired: Object, reference: StorageReference, storage: Object | None, store: Store) -> Iterator[str]:
    if storage is None:
        secret = secret_of(reference, wired["metadata"]["namespace"])
        yield f'SessionStorage "{reference}" does not exist (yet): pods wait until Secret "{secret}" exists'
    elif not store.supports_proxies:
        yield (
            f'SessionStorage "{reference}" is external, and ToolHive\'s proxies are not connected'
            f" ({store.support}): see its condition ProxiesSupported; backends are"
        )


def _of_reference(wired: Object, reference: StorageReference) -> Iterator[str]:
    if not wired["metadata"].get("name"):
        yield (
            "an object with metadata.generateName has no name yet: its proxies are connected to the storage when it"
            " is next changed"
        )
    if reference.is_by_field and not injection.has_field(wired):
        yield (
            f'SessionStorage "{reference}" stays connected, though spec.sessionStorageRef was lost with its CRD'
            " field: to disconnect, set the field and take it out again"
        )


def _of_transport(wired: Object, reference: StorageReference) -> Iterator[str]:
    """Say what keeps proxies from sharing the sessions that they could share.

    Source: ToolHive `mcpserver_controller.go` (one replica for stdio) and `mcpremoteproxy_types.go` (SessionAffinity).
    """
    if read(wired, _PROVIDER) != "redis":
        # Then sessions are in the memory of each proxy, and affinity is what keeps them together.
        return
    spec: Object = wired["spec"]
    if spec.get("transport") == "stdio":
        yield (
            f'spec.transport is stdio: ToolHive runs one proxy, and SessionStorage "{reference}" only keeps sessions'
            " over restarts: to have replicas, use streamable-http or sse"
        )
    elif (
        spec.get("sessionAffinity") == "ClientIP" and isinstance(replicas := spec.get("replicas"), int) and replicas > 1
    ):
        yield (
            f"spec.sessionAffinity is ClientIP: each client sticks to one of {replicas} replicas, though all find its"
            f' sessions in SessionStorage "{reference}": set it to None'
        )


def _of_plain_text(wired: Object, reference: StorageReference, store: Store) -> Iterator[str]:
    is_elsewhere = reference.namespace != wired["metadata"]["namespace"]
    if is_elsewhere and store.is_external and store.endpoint is not None and not store.endpoint.is_tls:
        yield (
            f'SessionStorage "{reference}" has no TLS: what this namespace sends crosses the network in plain text, the'
            " password included: ask its owner for rediss://"
        )


def _of_variables(wired: Object, reference: StorageReference, store: Store, target: Target) -> Iterator[str]:
    """Name variables of the user's own that are in the connection Secret too: Kubernetes prefers `env` to `envFrom`."""
    injected = _injected(store)
    kind: str = wired["kind"]
    backend = _BACKEND_ENV.get(kind, ()) if target.has_backend else ()
    proxy = _PROXY_ENV.get(kind, ()) if target.has_proxy else ()
    for path in backend + proxy:
        for entry in _entries_of(read(wired, path), injected):
            yield _hides(path, entry, entry["name"], reference)
    if backend:
        for entry in _entries(read(wired, _SECRETS)):
            # ToolHive calls the variable after the key, unless told otherwise.
            variable = entry.get("targetEnvName") or entry.get("key")
            if isinstance(variable, str) and variable in injected:
                yield _hides(_SECRETS, entry, variable, reference)


def _hides(path: Path, entry: Object, variable: str, reference: StorageReference) -> str:
    place = f"{dotted(path)}[{entry.get('name')}]"
    return f'{place} hides {variable} of SessionStorage "{reference}": rename it, unless this is meant'


def _injected(store: Store) -> frozenset[str]:
    """Tell which variables the connection Secret may have."""
    if not store.is_external:
        return names.CONNECTION_KEYS
    return names.EXTERNAL_CONNECTION_KEYS if store.has_password else names.OPEN_CONNECTION_KEYS


def _entries_of(value: Any, injected: frozenset[str]) -> list[Object]:
    """Pick the entries that name one of these variables."""
    if not isinstance(value, list) or _names_none(value, injected):
        return []
    return [entry for entry in _entries(value) if isinstance(name := entry.get("name"), str) and name in injected]


def _names_none(value: list[Any], injected: frozenset[str]) -> bool:
    """Tell whether all entries are well-formed and none is picked: in a large consumer, a hundred of them.

    It takes a quarter of the time of picking.
    """
    try:
        return injected.isdisjoint(map(_NAME, value))
    except (TypeError, KeyError):
        return False


def _entries(value: Any) -> list[Object]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
