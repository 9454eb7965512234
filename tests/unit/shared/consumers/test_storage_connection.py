"""How consumers connect to an external storage: where a store has taken a write or, before any has, by its URL."""

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


@pytest.mark.parametrize("external", [{"url": "redis://there", "secretRef": "auth"}, {"url": "redis://there"}], ids=str)
def test_a_changed_url_counts_once_the_reconciler_says_that_a_store_has_taken_a_write_there(external: Any) -> None:
    for endpoint, host in (("redis://before.example.com:6379", "before.example.com"), (None, "there.team.svc")):
        connection = connection_to(STORE, storage(external, endpoint=endpoint))
        assert connection.endpoint is not None
        assert (connection.endpoint.host, connection.supports_proxies) == (host, True)


def test_a_condition_about_another_place_does_not_count() -> None:
    found = storage({"secretRef": "auth"}, "PlainTcp", "rediss://cache.example.com:6379")
    assert connection_to(STORE, found).support is ProxySupport.NOT_CHECKED
