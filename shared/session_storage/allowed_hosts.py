"""Which hosts an external storage may name. Pure.

The reconciler dials them from inside the cluster, with its own address: where it may connect must not depend on who may
write SessionStorages. What a name leads to is judged by the addresses that the reconciler then connects to.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field, replace
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Final, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

ENTRY_FORM: Final = "a host name, a pattern such as *.example.com, an address or a network such as 10.0.0.0/8"
_PATTERN: Final = re.compile(r"[a-z0-9*_]([a-z0-9*_.-]*[a-z0-9*_])?", re.ASCII)
_EVERY_NAME: Final = ("*",)
_EVERYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_METADATA: Final = "the address of a cloud's metadata service"
_API_SERVER: Final = "the address of the cluster's API server"
_REFUSED: Final = tuple(
    (ip_network(network), kind)
    for network, kind in (
        # Most clouds use an address of 169.254.0.0/16, and these have others.
        ("169.254.169.254/32", _METADATA),
        ("fd00:ec2::/64", _METADATA),  # AWS: instance metadata ::254, EKS Pod Identity ::23
        ("fd20:ce::254/128", _METADATA),  # Google
        ("168.63.129.16/32", _METADATA),  # Azure's WireServer
        ("100.100.100.200/32", _METADATA),  # Alibaba
        ("0.0.0.0/8", "an unspecified address"),  # RFC 1122; Linux connects 0.0.0.0 to itself
        ("::/128", "an unspecified address"),
        ("127.0.0.0/8", "a loopback address"),
        ("::1/128", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("fe80::/10", "a link-local address"),
        ("224.0.0.0/4", "a multicast address"),
        ("ff00::/8", "a multicast address"),
        ("255.255.255.255/32", "a broadcast address"),
    )
)
_UNLISTED: Final = "is not in the list of hosts that storages may use here"
_NAT64: Final = ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address to which a gateway translates."""


def parse_entry(text: str) -> str | Network | None:
    """Read one entry of the chart value `external.allowedHosts`: a pattern of names, or a network; None if neither."""
    try:
        return ip_network(text)
    except ValueError:
        pattern = text.lower().rstrip(".")
    # Four numbers with dots, or a slash, are meant as an address, and are none.
    is_name = "/" not in text and not re.fullmatch(r"[0-9.]+", pattern)
    return pattern if is_name and _PATTERN.fullmatch(pattern) else None


def address_of(host: str) -> Address | None:
    """Read an address as `Endpoint.host` has it, without brackets; None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Which hosts an external storage may name.

    Attributes:
        names: Patterns of names; `*` stands for any characters, dots included.
        networks: Networks of which an address may be.
        refused: Networks that are refused all the same, and what they are; an entry of `networks` opens one of them
            only if it is that network or a part of it, so that `0.0.0.0/0` does not.
        api_server_names: Names of the API server; their addresses are refused, too.
    """

    names: tuple[str, ...] = _EVERY_NAME
    networks: tuple[Network, ...] = _EVERYWHERE
    refused: tuple[tuple[Network, str], ...] = field(default=_REFUSED, repr=False)
    api_server_names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[str | Network]) -> Self:
        """Take the parsed entries of the chart value; none allows every host that is not refused by default."""
        listed = tuple(entries)
        if not listed:
            return cls()
        names = tuple(entry for entry in listed if isinstance(entry, str))
        return cls(names, tuple(entry for entry in listed if not isinstance(entry, str)))

    def without_api_server(self, hosts: Iterable[str | Address]) -> Self:
        """Refuse the API server, too, by all names and addresses that it has; empty ones are left out."""
        known = [(host, address_of(host) if isinstance(host, str) else host) for host in hosts if host]
        networks = tuple((ip_network(address), _API_SERVER) for _, address in known if address is not None)
        names = {str(host).lower().rstrip(".") for host, address in known if address is None}
        return replace(
            self, refused=(*networks, *self.refused), api_server_names=self.api_server_names | frozenset(names)
        )

    def problem_of_host(self, host: str) -> str:
        """Say what a host is that may not be named; empty if it may, as far as one can tell without asking DNS.

        The sentence goes on where the host stands, and does not repeat it: one that comes out of a Secret is nobody's
        to read.
        """
        if (address := address_of(host)) is not None:
            return self.problem_of_addresses(host, (address,))
        name = host.lower().rstrip(".")
        if name in self.api_server_names:
            return _refusal(_API_SERVER)
        return "" if self._allows_name(name) or self.networks else _UNLISTED

    def problem_of_addresses(self, host: str, addresses: Iterable[Address]) -> str:
        """Say, as `problem_of_host`, why no address of a host may be connected to; empty if one of them may."""
        found = tuple(addresses)
        if self.usable(host, found):
            return ""
        kinds = sorted({kind for address in found if (kind := self._kind_of_refused(address))})
        return _refusal(kinds[0]) if kinds else _UNLISTED

    def usable(self, host: str, addresses: Iterable[Address]) -> tuple[Address, ...]:
        """Pick the addresses of a host that may be connected to."""
        is_named = address_of(host) is None and self._allows_name(host.lower().rstrip("."))
        return tuple(
            address
            for address in map(_plain, addresses)
            if (is_named or any(address in network for network in self.networks)) and not self._kind_of_refused(address)
        )

    def _allows_name(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.names)

    def _kind_of_refused(self, address: Address) -> str:
        """Tell as what an address is refused; empty if it is not."""
        for meant in _meanings(address):
            for network, kind in self.refused:
                if meant in network and not self._is_opened(meant, network):
                    return kind
        return ""

    def _is_opened(self, address: Address, refused: Network) -> bool:
        return any(address in network and _is_within(network, refused) for network in self.networks)


def _is_within(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def _plain(address: Address) -> Address:
    """Write an IPv4 address that is mapped into IPv6 as such: Linux connects it by IPv4."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _meanings(address: Address) -> Iterator[Address]:
    """List an address and the IPv4 addresses inside it, to which gateways on the way may translate it."""
    address = _plain(address)
    yield address
    if isinstance(address, IPv4Address):
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _refusal(kind: str) -> str:
    return f"is {kind}, or leads there, and storages may not use it"
