"""Where the reconciler may connect for a user does not depend on the user."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from shared.session_storage.allowed_hosts import AllowedHosts, parse_entry


def allowing(*texts: str) -> AllowedHosts:
    entries = [parse_entry(text) for text in texts]
    assert None not in entries
    return AllowedHosts.of(entry for entry in entries if entry is not None)


def is_usable(allowed: AllowedHosts, host: str, *addresses: str) -> bool:
    """Judge a host as the reconciler does, with the addresses that it has; an address has itself."""
    found = [ip_address(address) for address in addresses or (host,)]
    return not allowed.problem_of_host(host) and not allowed.problem_of_addresses(host, found)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "::1", "0.1.2.3", "::", "169.254.169.254", "169.254.20.10", "fe80::1"),
        *("224.0.0.1", "ff02::1", "255.255.255.255", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
        *("168.63.129.16", "100.100.100.200"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "2002:7f00:1::"),
    ],
)
def test_what_no_store_has_is_refused_by_default_as_an_address_and_behind_a_name(address: str) -> None:
    assert not is_usable(AllowedHosts(), address)
    assert not is_usable(AllowedHosts(), "store.example.com", address)
    assert not is_usable(allowing("*", "0.0.0.0/0", "::/0"), "store.example.com", address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00::1", "64:ff9b::808:808"]
)
def test_all_else_is_allowed_if_nothing_is_listed(address: str) -> None:
    assert is_usable(AllowedHosts(), address)
    assert is_usable(AllowedHosts(), "store.example.com", address)


def test_of_several_addresses_those_that_are_refused_are_left_out() -> None:
    found = [ip_address("127.0.0.1"), ip_address("10.0.0.1"), ip_address("::1")]
    assert AllowedHosts().usable("store", found) == (ip_address("10.0.0.1"),)


@pytest.mark.parametrize(
    ("pattern", "host", "is_allowed"),
    [
        ("redis.example.com", "redis.example.com", True),
        ("redis.example.com", "REDIS.example.com.", True),
        ("redis.example.com", "redis.example.com.evil.example", False),
        ("*.cache.amazonaws.com", "master.c.ab12cd.euw1.cache.amazonaws.com", True),
        ("*.cache.amazonaws.com", "cache.amazonaws.com", False),
        ("*.cache.amazonaws.com", "evil-cache.amazonaws.com", False),
        ("*.svc", "redis.team.svc", True),
        ("Redis.Example.com.", "redis.example.com", True),
    ],
)
def test_a_list_of_names_allows_those_alone(pattern: str, host: str, *, is_allowed: bool) -> None:
    assert is_usable(allowing(pattern), host, "10.0.0.1") is is_allowed
    assert not is_usable(allowing(pattern), "10.0.0.1")


def test_a_name_on_the_list_may_still_not_lead_to_what_is_refused() -> None:
    assert not is_usable(allowing("redis.example.com"), "redis.example.com", "169.254.169.254")


def test_a_network_allows_the_names_that_lead_into_it() -> None:
    allowed = allowing("10.1.0.0/16", "2001:db8::/32")
    assert is_usable(allowed, "any.example.com", "10.1.2.3")
    assert is_usable(allowed, "2001:db8::5")
    assert not is_usable(allowed, "any.example.com", "10.2.2.3")
    assert not is_usable(allowed, "10.2.2.3")


def test_a_refused_network_opens_only_to_an_entry_within_it() -> None:
    assert is_usable(allowing("127.0.0.0/8"), "127.0.0.1")
    assert is_usable(allowing("127.0.0.1"), "localhost", "127.0.0.1")
    assert not is_usable(allowing("127.0.0.1"), "127.0.0.2")
    assert not is_usable(allowing("126.0.0.0/7"), "127.0.0.1")
    assert is_usable(allowing("::1"), "::1")


def test_the_api_server_is_refused_by_all_its_names_and_addresses() -> None:
    allowed = AllowedHosts().without_api_server(["10.96.0.1", "", "API.example.com", "fd00::1"])
    assert not is_usable(allowed, "10.96.0.1")
    assert not is_usable(allowed, "kubernetes.default.svc", "10.96.0.1")
    assert not is_usable(allowed, "api.example.com.", "10.0.0.9")
    assert not is_usable(allowed, "fd00::1")
    assert is_usable(allowed, "10.96.0.2")
    assert is_usable(allowed.without_api_server([ip_address("10.0.0.9")]), "10.96.0.2")
    assert not is_usable(allowed.without_api_server([ip_address("10.0.0.9")]), "alias", "10.0.0.9")


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/33", "10.0.0.5/8", "300.1.1.1", "a b", "redis://x", "host:6379", "[::1]", "-x", "ä.example"]
)
def test_what_is_neither_name_nor_network_is_no_entry(text: str) -> None:
    assert parse_entry(text) is None


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "localhost"])
def test_another_spelling_of_an_address_counts_as_a_name_whose_addresses_are_judged(host: str) -> None:
    assert AllowedHosts().problem_of_host(host) == ""
    assert not is_usable(AllowedHosts(), host, "127.0.0.1")
