"""Turns the rules of one NetworkPolicy into nftables rules that accept. Pure.

Semantics: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import product
from typing import Final, NamedTuple

from deploy.local.netpol.endpoints import Endpoint
from deploy.local.netpol.selector import matches
from shared.objects.resources import Object, key_of


@dataclass(frozen=True, slots=True)
class Direction:
    """Ingress or egress: what Kubernetes and nftables call its parts."""

    policy_type: str
    rules: str
    peers: str
    peer_address: str


INGRESS: Final = Direction("Ingress", "ingress", "from", "saddr")
EGRESS: Final = Direction("Egress", "egress", "to", "daddr")
FAMILIES: Final = {4: "ip", 6: "ip6"}
"""What nftables calls the two versions of the Internet Protocol."""


class _Match(NamedTuple):
    """A part of a rule, and the version of the protocol for whose packets alone nftables takes it; 0 for any."""

    version: int
    words: list[str]


_ANY: Final = _Match(0, [])


def selects(policy: Object, direction: Direction, endpoint: Endpoint) -> bool:
    """Tell whether a policy isolates a pod in a direction, so that only what policies allow passes."""
    namespace, _ = key_of(policy)
    spec = policy["spec"]
    return (
        direction.policy_type in (spec.get("policyTypes") or _default_policy_types(spec))
        and endpoint.namespace == namespace
        and matches(spec.get("podSelector") or {}, endpoint.labels)
    )


def _default_policy_types(spec: Object) -> list[str]:
    return ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def accepting(
    policy: Object, direction: Direction, selected: Sequence[Endpoint], everyone: Sequence[Endpoint]
) -> Iterator[str]:
    """Yield the nftables rules that accept what a policy allows the `selected` pods.

    A rule whose peers or named ports fit no pod yields nothing: nftables has no empty anonymous set.
    """
    destinations = selected if direction is INGRESS else everyone
    for rule in policy["spec"].get(direction.rules) or []:
        peers = _peers(rule.get(direction.peers) or [], policy, direction, everyone)
        ports = list(_ports(rule.get("ports") or [], destinations))
        for peer, port in product(peers, ports):
            if 0 in {peer.version, port.version} or peer.version == port.version:
                yield " ".join([*peer.words, *port.words, "accept"])


def _peers(
    peers: Sequence[Object], policy: Object, direction: Direction, everyone: Sequence[Endpoint]
) -> Iterator[_Match]:
    if not peers:
        yield _ANY
        return
    namespace, _ = key_of(policy)
    for version, family in FAMILIES.items():
        named = (one for one in everyone if one.address.version == version)
        addresses = [one.address for one in named if any(_is_peer(one, peer, namespace) for peer in peers)]
        if addresses:
            yield _Match(version, [f"{family} {direction.peer_address} {_set(addresses)}"])
    for peer in peers:
        if "ipBlock" in peer:
            yield _block(peer["ipBlock"], direction)


def _is_peer(endpoint: Endpoint, peer: Object, policy_namespace: str) -> bool:
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        is_in_namespace = matches(peer["namespaceSelector"], endpoint.namespace_labels)
    else:
        is_in_namespace = endpoint.namespace == policy_namespace
    return is_in_namespace and matches(peer.get("podSelector") or {}, endpoint.labels)


def _block(block: Object, direction: Direction) -> _Match:
    network = ip_network(block["cidr"], strict=False)
    address = f"{FAMILIES[network.version]} {direction.peer_address}"
    excluded = [ip_network(cidr, strict=False) for cidr in block.get("except") or []]
    return _Match(network.version, [f"{address} {network}", *(f"{address} != {one}" for one in excluded)])


def _ports(ports: Sequence[Object], destinations: Sequence[Endpoint]) -> Iterator[_Match]:
    if not ports:
        yield _ANY
    for port in ports:
        protocol = port.get("protocol", "TCP")
        layer, number = protocol.lower(), port.get("port")
        if number is None:
            yield _Match(0, [f"meta l4proto {layer}"])
        elif isinstance(number, int):
            last = port.get("endPort", number)
            yield _Match(0, [f"{layer} dport {number}" if last == number else f"{layer} dport {number}-{last}"])
        else:
            yield from _named(protocol, number, destinations)


def _named(protocol: str, name: str, destinations: Sequence[Endpoint]) -> Iterator[_Match]:
    key = (protocol, name)
    for version, family in FAMILIES.items():
        having = (one for one in destinations if key in one.ports and one.address.version == version)
        if targets := [f"{one.address} . {one.ports[key]}" for one in having]:
            yield _Match(version, [f"{family} daddr . {protocol.lower()} dport {_set(targets)}"])


def _set(elements: Iterable[object]) -> str:
    return f"{{ {', '.join(str(element) for element in elements)} }}"
