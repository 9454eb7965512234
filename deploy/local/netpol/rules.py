"""Turns the rules of one NetworkPolicy into nftables rules that accept. Pure.

Semantics: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_network
from typing import Final

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


INGRESS: Final = Direction("Ingress", "ingress", "from", "ip saddr")
EGRESS: Final = Direction("Egress", "egress", "to", "ip daddr")


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
        ports = list(_ports(rule.get("ports") or [], destinations))
        for peer in _peers(rule.get(direction.peers) or [], policy, direction, everyone):
            yield from (" ".join([*peer, *port, "accept"]) for port in ports)


def _peers(
    peers: Sequence[Object], policy: Object, direction: Direction, everyone: Sequence[Endpoint]
) -> Iterator[list[str]]:
    if not peers:
        yield []
        return
    namespace, _ = key_of(policy)
    addresses = [one.address for one in everyone if any(_is_peer(one, peer, namespace) for peer in peers)]
    if addresses:
        yield [f"{direction.peer_address} {_set(addresses)}"]
    for peer in peers:
        if "ipBlock" in peer:
            yield from _block(peer["ipBlock"], direction)


def _is_peer(endpoint: Endpoint, peer: Object, policy_namespace: str) -> bool:
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        is_in_namespace = matches(peer["namespaceSelector"], endpoint.namespace_labels)
    else:
        is_in_namespace = endpoint.namespace == policy_namespace
    return is_in_namespace and matches(peer.get("podSelector") or {}, endpoint.labels)


def _block(block: Object, direction: Direction) -> Iterator[list[str]]:
    network = ip_network(block["cidr"], strict=False)
    if isinstance(network, IPv6Network):  # nobody has such an address here
        return
    excluded = [ip_network(cidr, strict=False) for cidr in block.get("except") or []]
    yield [f"{direction.peer_address} {network}", *(f"{direction.peer_address} != {one}" for one in excluded)]


def _ports(ports: Sequence[Object], destinations: Sequence[Endpoint]) -> Iterator[list[str]]:
    if not ports:
        yield []
    for port in ports:
        protocol = port.get("protocol", "TCP")
        layer, number = protocol.lower(), port.get("port")
        if number is None:
            yield [f"meta l4proto {layer}"]
        elif isinstance(number, int):
            last = port.get("endPort", number)
            yield [f"{layer} dport {number}" if last == number else f"{layer} dport {number}-{last}"]
        elif targets := [
            f"{one.address} . {one.ports[protocol, number]}" for one in destinations if (protocol, number) in one.ports
        ]:
            yield [f"ip daddr . {layer} dport {_set(targets)}"]


def _set(elements: Iterable[object]) -> str:
    return f"{{ {', '.join(str(element) for element in elements)} }}"
