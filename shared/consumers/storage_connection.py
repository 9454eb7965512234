"""How consumers connect to a storage: where it listens, and whether ToolHive's proxies can use it. Pure.

The name of a managed storage determines all of this. Whether proxies can use an external one depends on its Secret and
on ToolHive's CRDs, which the reconciler alone reads; the reconciler writes a condition, and the webhook reads that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shared import names
from shared.errors import InvalidSpec
from shared.objects.conditions import condition_of
from shared.objects.field_path import read
from shared.session_storage.endpoint import Endpoint

if TYPE_CHECKING:
    from shared.consumers.reference import StorageReference
    from shared.objects.resources import Object

PROXIES_SUPPORTED: Final = "ProxiesSupported"
"""Type of the condition on external storages."""


class ProxySupport(StrEnum):
    """Reasons of the condition: how ToolHive's proxies connect, or why they cannot."""

    PLAIN = "PlainTcp"
    SYSTEM_TLS = "TlsWithSystemRoots"
    CA_TLS = "TlsWithCa"
    NO_USER_NAME = "UserNameNotSupported"
    NO_TLS = "TlsNotSupported"
    NOT_CHECKED = "NotChecked"


_SUPPORTED: Final = frozenset({ProxySupport.PLAIN, ProxySupport.SYSTEM_TLS, ProxySupport.CA_TLS})


@dataclass(frozen=True, slots=True)
class StorageConnection:
    """A storage as its consumers see it.

    Attributes:
        endpoint: Where it listens; None if nobody knows yet, or the URL of an external storage is malformed.
        support: How ToolHive's proxies connect, or why they cannot.
        has_password: Whether consumers log in with a password.
        is_external: Whether users run the store themselves.
    """

    endpoint: Endpoint | None
    support: ProxySupport = ProxySupport.PLAIN
    has_password: bool = True
    is_external: bool = False

    @property
    def supports_proxies(self) -> bool:
        """Whether ToolHive's `spec.sessionStorage` can describe this connection."""
        return self.endpoint is not None and self.support in _SUPPORTED

    @property
    def supports_auth_servers(self) -> bool:
        """Whether ToolHive's embedded auth server can use this connection, too: it needs a password and database 0."""
        return self.supports_proxies and self.has_password and self.endpoint is not None and self.endpoint.db == 0


def connection_to(reference: StorageReference, storage: Object | None) -> StorageConnection:
    """Tell how to connect to a storage; one that does not exist yet is taken for a managed one."""
    external = read(storage or {}, ("spec", "external"))
    if storage is None or external is None:
        host = names.valkey_host(reference.name, reference.namespace)
        return StorageConnection(Endpoint(host, names.VALKEY_PORT, 0, is_tls=False))
    reason = (condition_of(storage, PROXIES_SUPPORTED) or {}).get("reason")
    support = ProxySupport(reason) if reason in set(ProxySupport) else ProxySupport.NOT_CHECKED
    has_password = read(external, ("secretRef",)) is not None
    # The reconciler says where a store has taken a write. The spec may have changed to one that never did; and without
    # a URL, the reconciler alone reads the Secret.
    url = read(storage, ("status", "endpoint")) or read(external, ("url",))
    try:
        endpoint = Endpoint.of_url(url, reference.namespace)
    except InvalidSpec:
        return StorageConnection(None, support, has_password, is_external=True)
    if support in _SUPPORTED and endpoint.is_tls == (support is ProxySupport.PLAIN):
        # The condition is about the URL that the storage had before.
        support = ProxySupport.NOT_CHECKED
    return StorageConnection(endpoint, support, has_password, is_external=True)
