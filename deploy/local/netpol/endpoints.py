"""Reads from pods and namespaces what a NetworkPolicy can select or name. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from shared.objects.resources import Object, key_of

# Pods that have ended keep their address in the API although the node may have given it to another.
_ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One pod with an address of its own.

    Attributes:
        ports: Number of each named container port, by (protocol, name).
    """

    namespace: str
    namespace_labels: Mapping[str, str]
    labels: Mapping[str, str]
    node: str
    address: IPv4Address
    ports: Mapping[tuple[str, str], int]


def endpoints(pods: Iterable[Object], namespaces: Iterable[Object]) -> tuple[Endpoint, ...]:
    """List the pods that take part in the pod network, by address.

    Pods in their node's network are left out: Kubernetes leaves policies for them undefined, and
    their traffic is the node's. Should two pods claim one address, the younger one has it.
    """
    labels_by_namespace = {key_of(namespace)[1]: _labels(namespace) for namespace in namespaces}
    by_address = {}
    for pod in sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", "")):
        if _has_own_address(pod):
            endpoint = _endpoint(pod, labels_by_namespace)
            by_address[endpoint.address] = endpoint
    return tuple(by_address[address] for address in sorted(by_address))


def _has_own_address(pod: Object) -> bool:
    status = pod.get("status", {})
    is_on_host_network = pod["spec"].get("hostNetwork", False)
    return bool(status.get("podIP")) and status.get("phase") not in _ENDED and not is_on_host_network


def _endpoint(pod: Object, labels_by_namespace: Mapping[str, Mapping[str, str]]) -> Endpoint:
    namespace, _ = key_of(pod)
    return Endpoint(
        namespace=namespace,
        namespace_labels=labels_by_namespace.get(namespace, {}),
        labels=_labels(pod),
        node=pod["spec"].get("nodeName", ""),
        address=IPv4Address(pod["status"]["podIP"]),
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
