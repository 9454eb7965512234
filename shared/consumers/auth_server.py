"""The embedded auth server of ToolHive's proxies: the fields by which it keeps its data in a storage. Pure.

A VirtualMCPServer describes its auth server itself. MCPServers and MCPRemoteProxies name an MCPExternalAuthConfig that
does, and run that auth server in their proxies. Source: ToolHive
`cmd/thv-operator/api/v1beta1/mcpexternalauthconfig_types.go`, RedisStorageConfig and RedisACLUserConfig.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared import names
from shared.errors import InvalidSpec
from shared.objects.field_path import Path, dotted, read

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from shared.consumers.storage_connection import StorageConnection
    from shared.objects.resources import Key, Object

SERVERS: Final[Mapping[str, Path]] = {
    "VirtualMCPServer": ("spec", "authServerConfig"),
    "MCPExternalAuthConfig": ("spec", "embeddedAuthServer"),
}
"""Where a kind describes an auth server."""
REDIS: Final = ("storage", "redis")
"""Where the description of an auth server says how to reach its store."""
_TIMEOUTS: Final = {"dialTimeout": "5s", "readTimeout": "3s", "writeTimeout": "3s"}
"""Defaults in ToolHive's schema, for a Redis that does not state them. The webhook writes them itself, so that its
record has them: releases that know nothing of auth servers remove what it lists, and the schema refuses the rest."""


def required_fields(
    consumer: Object, connection: StorageConnection, secret: str, tls: Object | None, ours: Container[Path]
) -> dict[Path, Any]:
    """List the fields by which a consumer's auth server uses a storage; none if it has none, or cannot use this one.

    Args:
        consumer: Of any kind.
        connection: How consumers connect to the storage.
        secret: Name of the connection Secret in the consumer's namespace.
        tls: Value of ToolHive's field for TLS; None for plain TCP.
        ours: Fields that the webhook injected earlier.

    Raises:
        InvalidSpec: An MCPExternalAuthConfig refers to a storage, and describes no auth server.
    """
    server, endpoint = SERVERS.get(consumer["kind"]), connection.endpoint
    if server is None:
        return {}
    if not isinstance(read(consumer, server), dict):
        if describes_only_an_auth_server(consumer):
            problem = (
                f"{dotted(server)}: Required value: only an embedded auth server keeps data in a SessionStorage: leave"
                " the reference out"
            )
            raise InvalidSpec([problem])
        return {}
    if endpoint is None or not connection.supports_auth_servers:
        return {}
    redis = (*server, *REDIS)
    fields: dict[Path, Any] = {
        (*server, "storage", "type"): "redis",
        (*redis, "addr"): endpoint.address,
        (*redis, "aclUserConfig", "passwordSecretRef"): {"name": secret, "key": names.KEY_REDIS_PASSWORD},
        # Without a user name, the auth server logs in as sessions do.
        (*redis, "aclUserConfig", "usernameSecretRef"): None,
        (*redis, "sentinelConfig"): None,
        (*redis, "tls"): tls,
    }
    if read(consumer, (*redis, "clusterMode")):
        fields[(*redis, "clusterMode")] = None
    timeouts = {(*redis, name): value for name, value in _TIMEOUTS.items()}
    return fields | {path: value for path, value in timeouts.items() if path in ours or read(consumer, path) is None}


def describes_only_an_auth_server(consumer: Object) -> bool:
    """Tell whether a consumer refers to a storage for its auth server alone, because its kind keeps no sessions."""
    return bool(consumer["kind"] == "MCPExternalAuthConfig")


def is_kept_elsewhere(consumer: Object, fields: Mapping[Path, Any], ours: Container[Path]) -> bool:
    """Tell whether users have their auth server keep its data elsewhere than in the storage for their sessions.

    Args:
        consumer: Of any kind.
        fields: What would have the auth server use the storage.
        ours: Fields that the webhook injected earlier.
    """
    if describes_only_an_auth_server(consumer):
        return False
    own = ((read(consumer, path), value) for path, value in fields.items() if path not in ours)
    return any(present is not None and present != value for present, value in own)


def is_in_own_store(described: Object) -> bool:
    """Tell whether somebody wrote in which store an auth server keeps its data."""
    redis = read(described, REDIS) or {}
    return bool(isinstance(redis, dict) and {"addr", "sentinelConfig"} & redis.keys())


def keeps_in_memory(described: Object) -> bool:
    """Tell whether somebody wrote that an auth server keeps its data in memory."""
    return bool(read(described, ("storage", "type")) == "memory")


def storage_of_auth_server(consumer: Object) -> Key | None:
    """Tell in which managed storage the auth server of a stored object keeps its data; None if in none.

    The address tells. Users may have written it themselves, without a reference, and in each form that a pod's resolver
    takes: `store-valkey`, `store-valkey.team`, `store-valkey.team.svc`, and with the cluster's domain.
    """
    server = SERVERS.get(str(consumer.get("kind")))
    if server is None or read(consumer, (*server, "storage", "type")) != "redis":
        return None
    host, _, _ = str(read(consumer, (*server, *REDIS, "addr")) or "").lower().rpartition(":")
    service, _, rest = host.removesuffix(".").partition(".")
    namespace, _, domain = rest.partition(".")
    name = service.removesuffix(names.valkey(""))
    is_ours = name != service and domain.split(".")[0] in {"", "svc"}
    return (namespace or str(read(consumer, ("metadata", "namespace")) or ""), name) if is_ours else None


def external_auth_config_names(host: Object) -> frozenset[str]:
    """Name the MCPExternalAuthConfigs whose auth server an MCPServer or MCPRemoteProxy may run in its proxy.

    Both fields may name one (`mcpserver_types.go`, AuthServerRef and ExternalAuthConfigRef).
    """
    named = (read(host, ("spec", field, "name")) for field in ("authServerRef", "externalAuthConfigRef"))
    return frozenset(name for name in named if isinstance(name, str))
