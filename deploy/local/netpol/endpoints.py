"""Reads from pods and namespaces what a NetworkPolicy can select or name. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

from shared.objects.resources import Object, key_of

# Pods that have ended keep their address in the API although the node may have given it to another.
_ENDED = frozenset({"Succeeded", "Failed"})


Address: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a pod that has addresses of its own; a pod in a network of both families has two.

    Attributes:
        ports: Number of each named container port, by (protocol, name).
    """

    namespace: str
    namespace_labels: Mapping[str, str]
    labels: Mapping[str, str]
    node: str
    address: Address
    ports: Mapping[tuple[str, str], int]


def endpoints(pods: Iterable[Object], namespaces: Iterable[Object]) -> tuple[Endpoint, ...]:
    """List the pods that take part in the pod network, by address, those of IPv4 first.

    Pods in their node's network are left out: Kubernetes leaves policies for them undefined, and
    their traffic is the node's. Should two pods claim one address, the younger one has it.
    """
    labels_by_namespace = {key_of(namespace)[1]: _labels(namespace) for namespace in namespaces}
    by_address: dict[Address, Endpoint] = {}
    for pod in sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", "")):
        if _has_own_address(pod):
            by_address |= {each.address: each for each in _endpoints_of(pod, labels_by_namespace)}
    return tuple(by_address[address] for address in sorted(by_address, key=order))


def order(address: Address) -> tuple[int, int]:
    """Sort addresses of both families."""
    return address.version, int(address)


def _has_own_address(pod: Object) -> bool:
    status = pod.get("status", {})
    is_on_host_network = pod["spec"].get("hostNetwork", False)
    return bool(status.get("podIP")) and status.get("phase") not in _ENDED and not is_on_host_network


def _endpoints_of(pod: Object, labels_by_namespace: Mapping[str, Mapping[str, str]]) -> Iterator[Endpoint]:
    namespace, _ = key_of(pod)
    status = pod["status"]
    for address in [entry["ip"] for entry in status.get("podIPs", [])] or [status["podIP"]]:
        yield Endpoint(
            namespace=namespace,
            namespace_labels=labels_by_namespace.get(namespace, {}),
            labels=_labels(pod),
            node=pod["spec"].get("nodeName", ""),
            address=ip_address(address),
            ports=_named_ports(pod["spec"]),
        )


def _named_ports(spec: Object) -> dict[tuple[str, str], int]:
    sidecars = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    named: dict[tuple[str, str], int] = {}
    for container in [*spec["containers"], *sidecars]:
        for port in container.get("ports") or []:
            # As with Services, the first container that has the name gives the number.
            named.setdefault((port.get("protocol", "TCP"), port.get("name", "")), port["containerPort"])
    return named


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}
