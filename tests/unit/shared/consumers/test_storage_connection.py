"""How consumers connect to an external storage: by its URL, or by what the reconciler says of its Secret."""

from __future__ import annotations

from typing import Any

import pytest

from shared.consumers.reference import StorageReference
from shared.consumers.storage_connection import ProxySupport, connection_to
from shared.session_storage.endpoint import Endpoint

STORE = StorageReference("team", "store")


def storage(external: Any, support: str = "PlainTcp", endpoint: str | None = None) -> Any:
    status = {"conditions": [{"type": "ProxiesSupported", "reason": support}]} | (
        {"endpoint": endpoint} if endpoint else {}
    )
    return {"metadata": {"name": "store", "namespace": "team"}, "spec": {"external": external}, "status": status}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://redis-master:6379", "redis-master.team.svc:6379"),
        ("redis://redis-master.data:6379/", "redis-master.data:6379"),
        ("REDIS://[2001:DB8::5]", "[2001:db8::5]:6379"),
    ],
)
def test_consumers_of_every_namespace_get_the_same_address(url: str, address: str) -> None:
    connection = connection_to(STORE, storage({"url": url, "secretRef": "auth"}))
    assert connection.endpoint is not None
    assert connection.endpoint.address == address
    assert connection.supports_proxies


@pytest.mark.parametrize("secret", ["auth", {"name": "auth", "hostKey": "H"}], ids=str)
def test_without_a_url_the_reconciler_says_where_the_store_is(secret: Any) -> None:
    found = storage({"secretRef": secret}, "TlsWithCa", "rediss://cache.example.com:6380/2")
    connection = connection_to(STORE, found)
    assert connection.endpoint == Endpoint("cache.example.com", 6380, 2, is_tls=True)
    assert (connection.supports_proxies, connection.has_password, connection.is_external) == (True, True, True)


def test_before_it_has_said_so_proxies_are_not_connected() -> None:
    connection = connection_to(STORE, storage({"secretRef": "auth"}, "NotChecked"))
    assert (connection.endpoint, connection.is_external) == (None, True)
    assert not connection.supports_proxies


def test_a_url_comes_before_what_the_status_says_of_an_earlier_secret() -> None:
    found = storage({"url": "redis://there", "secretRef": "auth"}, endpoint="redis://elsewhere.example.com:6379")
    connection = connection_to(STORE, found)
    assert connection.endpoint is not None
    assert connection.endpoint.host == "there.team.svc"


def test_a_condition_about_another_place_does_not_count() -> None:
    found = storage({"secretRef": "auth"}, "PlainTcp", "rediss://cache.example.com:6379")
    assert connection_to(STORE, found).support is ProxySupport.NOT_CHECKED
