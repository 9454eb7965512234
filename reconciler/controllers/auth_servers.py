"""Knows which auth servers keep their data in which storage, and what runs them, by the caches of ToolHive's kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consumers.auth_server import SERVERS, external_auth_config_names, storage_of_auth_server
from shared.kubernetes.index import Index
from shared.objects.resources import MCP_EXTERNAL_AUTH_CONFIGS, MCP_REMOTE_PROXIES, MCP_SERVERS, Key, Object, key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from shared.kubernetes.informer import Informer


class AuthServers:
    """The auth servers of a cluster."""

    def __init__(self, caches: Mapping[str, Informer]) -> None:
        """Take the caches of ToolHive's kinds, by kind."""
        self._caches = caches
        self._described = [Index(caches[kind], storage_of_auth_server) for kind in SERVERS]

    def of_storage(self, storage: Key, namespaces: Collection[str]) -> list[Object]:
        """Return what describes an auth server that keeps its data in a managed storage.

        Args:
            storage: The storage.
            namespaces: Those that may use it: in any other, anybody can write its address.
        """
        found = (obj for index in self._described for obj in index.get(storage))
        return [obj for obj in found if obj["metadata"]["namespace"] in namespaces]

    def hosts(self, described: Object) -> list[Object]:
        """Return what runs the auth server that an object describes.

        A VirtualMCPServer runs its own. MCPServers and MCPRemoteProxies run that of an MCPExternalAuthConfig which they
        name.
        """
        if described["kind"] not in SERVERS:
            return []
        if described["kind"] != MCP_EXTERNAL_AUTH_CONFIGS.kind:
            return [described]
        namespace, name = key_of(described)
        return [
            obj
            for resource in (MCP_SERVERS, MCP_REMOTE_PROXIES)
            for key in self._caches[resource.kind].objects
            if key[0] == namespace
            and (obj := self._caches[resource.kind].get(key)) is not None
            and name in external_auth_config_names(obj)
        ]
