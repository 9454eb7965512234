"""What wiring has to know of a storage: where it listens, and whether ToolHive's proxies can use it. Pure.

Of a managed storage everything follows from its name. Whether proxies can use an external one depends on its Secret
and on ToolHive's CRDs, which only the reconciler sees; it says so in a condition, and the webhook reads that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
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
    """Reasons of the condition: how ToolHive's proxies are connected, or why not."""

    PLAIN = "PlainTcp"
    SYSTEM_TLS = "TlsWithSystemRoots"
    CA_TLS = "TlsWithCa"
    NO_USER_NAME = "UserNameNotSupported"
    NO_TLS = "TlsNotSupported"
    NOT_CHECKED = "NotChecked"


_SUPPORTED: Final = frozenset({ProxySupport.PLAIN, ProxySupport.SYSTEM_TLS, ProxySupport.CA_TLS})
_MAX_MANAGED: Final = 256
"""An admission asks twice, and the next one mostly for the same; names are short (`MAX_STORAGE_NAME`)."""


@dataclass(frozen=True, slots=True)
class Store:
    """A storage, as its consumers see it.

    Attributes:
        endpoint: Where it listens; None if that cannot be read.
        support: Whether and how ToolHive's proxies can use it.
        has_password: Whether a password is needed.
        is_external: Whether the store is the user's own.
    """

    endpoint: Endpoint | None
    support: ProxySupport = ProxySupport.PLAIN
    has_password: bool = True
    is_external: bool = False

    @property
    def supports_proxies(self) -> bool:
        """Whether ToolHive's `spec.sessionStorage` can say how to reach the store."""
        return self.endpoint is not None and self.support in _SUPPORTED


def store_of(reference: StorageReference, storage: Object | None) -> Store:
    """Tell what wiring needs to know; of a storage that does not exist (yet), what it will be if it is managed."""
    if storage is None or (url := read(storage, ("spec", "external", "url"))) is None:
        return _managed(reference.name, reference.namespace)
    support = _support(storage)
    has_password = read(storage, ("spec", "external", "secretRef")) is not None
    try:
        endpoint = Endpoint.of_url(url)
    except InvalidSpec:
        return Store(None, support, has_password, is_external=True)
    if support in _SUPPORTED and endpoint.is_tls == (support is ProxySupport.PLAIN):
        # The condition tells of an address that the storage had before.
        support = ProxySupport.NOT_CHECKED
    return Store(endpoint, support, has_password, is_external=True)


@lru_cache(_MAX_MANAGED)
def _managed(name: str, namespace: str) -> Store:
    return Store(Endpoint(names.valkey_host(name, namespace), names.VALKEY_PORT, 0, is_tls=False))


def _support(storage: Object) -> ProxySupport:
    reason = (condition_of(storage, PROXIES_SUPPORTED) or {}).get("reason")
    return ProxySupport(reason) if reason in set(ProxySupport) else ProxySupport.NOT_CHECKED
