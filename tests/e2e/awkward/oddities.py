"""Looks at each oddity of the awkward cluster: asserts that it is there, and says what was seen of it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from cryptography import x509

from deploy.demo import installation
from deploy.demo.kube import Kube, Object
from deploy.local import nodeservices
from deploy.local.home import Cluster
from deploy.local.profile import HOUSE, Oddity, Profile
from deploy.local.topology import API_PORT, CONTROL_PLANE_NODE, NODES
from tests.e2e import handshakes
from tests.e2e.awkward import house

WEBHOOK: Final = f"{installation.RELEASE}-webhook"
ALLOWED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(namespace: str, **changes: object) -> Object:
    """Build a pod that all rules allow, but for some fields of its container."""
    limits = {"cpu": "1", "memory": "64Mi"}
    container = {"name": "any", "image": house.image("any:1"), "securityContext": ALLOWED} | changes
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "any", "namespace": namespace},
        "spec": {"containers": [{"resources": {"requests": limits, "limits": limits}} | container]},
    }


def profile() -> Profile:
    """Return the profile of the cluster that runs."""
    return Cluster.of_this_cache().profile


def family(address: str) -> str:
    """Name the IP family of an address as Kubernetes does."""
    return f"IPv{ip_address(address).version}"


def _created(kube: Kube) -> Object:
    """Return what the API server would make of a pod that all rules allow."""
    created = ("create", "--dry-run=server", "--output=json", "-f", "-")
    made: Object = json.loads(kube.run(*created, stdin=json.dumps(pod(installation.NAMESPACE))))
    return made


def _assert_refused(kube: Kube, words: str, **changes: object) -> None:
    """See that every namespace refuses a pod."""
    for namespace in house.NAMESPACES:
        said = kube.refusal("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod(namespace, **changes)))
        assert words in said, f"{namespace}: {said or 'accepted'}"


def _everywhere() -> str:
    return ", ".join(house.NAMESPACES)


def _certificate(kube: Kube) -> str:
    pem = ssl.get_server_certificate((CONTROL_PLANE_NODE.address, API_PORT))
    extensions = [each.value for each in x509.load_pem_x509_certificate(pem.encode()).extensions]
    assert not [
        each for each in extensions if isinstance(each, x509.SubjectKeyIdentifier | x509.AuthorityKeyIdentifier)
    ]
    for process in installation.PROCESSES:
        assert handshakes.outcomes(kube, process) == handshakes.OURS_ALONE
    has = ", ".join(type(each).__name__ for each in extensions)
    default, ours = handshakes.OURS_ALONE
    return f"it has {has}; both processes speak {ours} with it, and Python's default says {default}"


def _taints(kube: Kube) -> str:
    found = {each["metadata"]["name"]: each["spec"]["taints"] for each in kube.items("nodes")}
    wanted = {each.name: [taint.manifest() for taint in profile().taints_of(each)] for each in NODES}
    named = {
        node: [{field: taint.get(field, "") for field in ("key", "value", "effect")} for taint in taints]
        for node, taints in found.items()
    }
    assert named == wanted
    return "; ".join(f"{node} {taint['key']}:{taint['effect']}" for node, taints in named.items() for taint in taints)


def _resolver(kube: Kube) -> tuple[str, list[str]]:
    """Return the node of a pod of our webhook, and the lines of the pod's `/etc/resolv.conf`."""
    ours = next(each for each in installation.pods(kube) if each["metadata"]["name"].startswith(WEBHOOK))
    read = ("exec", ours["metadata"]["name"], "--", "cat", "/etc/resolv.conf")
    return ours["spec"]["nodeName"], kube.run(*read, namespace=installation.NAMESPACE).splitlines()


def _domain(kube: Kube) -> str:
    _, lines = _resolver(kube)
    (search,) = (line for line in lines if line.startswith("search "))
    assert f"svc.{profile().domain}" in search.split()
    assert "cluster.local" not in search
    return f"a pod of the webhook has “{search}”"


def _dns_on_nodes(kube: Kube) -> str:
    servers = kube.items("pods", "kube-system", "--selector=k8s-app=kube-dns")
    assert {each["spec"]["nodeName"] for each in servers} == {each.name for each in NODES}
    assert all(each["spec"]["hostNetwork"] for each in servers)
    name, lines = _resolver(kube)
    (node,) = (each for each in NODES if each.name == name)
    address, *_ = nodeservices.addresses(node, profile())
    assert [line for line in lines if line.startswith("nameserver ")] == [f"nameserver {address}"]
    return f"{len(servers)} pods on the host's network; a pod of the webhook on {name} asks {address}"


def _families(kube: Kube) -> str:
    wanted = list(profile().families)
    for each in kube.items("nodes"):
        addresses = [found["address"] for found in each["status"]["addresses"] if found["type"] == "InternalIP"]
        assert [family(address) for address in addresses] == wanted
    pods = installation.pods(kube)
    assert pods
    for each in pods:
        assert [family(address["ip"]) for address in each["status"]["podIPs"]] == wanted
    services = kube.get("service", "kubernetes", "default"), kube.get("service", WEBHOOK, installation.NAMESPACE)
    assert [each and each["spec"]["ipFamilies"] for each in services] == [wanted[:1], wanted[:1]]
    return (
        f"nodes and the product's pods have {' and '.join(wanted)}, the Services kubernetes and {WEBHOOK} {wanted[0]}"
    )


def _no_default_class(kube: Kube) -> str:
    (found,) = kube.items("storageclasses")
    told = found["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
    assert told == "false"
    return f"the only one is {found['metadata']['name']}, with is-default-class {told}"


def _restricted(kube: Kube) -> str:
    words = 'violates PodSecurity "restricted'
    _assert_refused(kube, words, securityContext={})
    return f"a pod that says nothing is refused ({words}…) in {_everywhere()}"


def _user_ids(kube: Kube) -> str:
    words = "must be left out, or lie in"
    _assert_refused(kube, words, securityContext=ALLOWED | {"runAsUser": 999})
    assigned = _created(kube)["spec"]["securityContext"]["runAsUser"]
    assert assigned == HOUSE.first_user_id
    return f"the user id 999 is refused ({words}…) in {_everywhere()}; a pod without one gets {assigned}"


def _bounds(kube: Kube) -> str:
    words = "must specify limits.cpu", f"is {house.MAX_MEMORY}"
    _assert_refused(kube, words[0], resources={"limits": {"memory": "64Mi"}})
    _assert_refused(kube, words[1], resources={"limits": {"cpu": "1", "memory": "3Gi"}})
    running = [each for namespace in house.NAMESPACES for each in kube.items("pods", namespace)]
    assert len(running) > len(installation.pods(kube)) > 0, "ToolHive's operator is one of them"
    for each in running:
        limits = [container["resources"].get("limits", {}).get("cpu") for container in each["spec"]["containers"]]
        assert all(limits), f"{each['metadata']['name']}: {limits}"
    return (
        f"a pod without a CPU limit is refused ({words[0]}…), one with 3Gi of memory too, in {_everywhere()}; "
        f"{len(running)} pods have CPU limits and run there"
    )


def _mirror(kube: Kube) -> str:
    (container,) = _created(kube)["spec"]["containers"]
    assert container["image"] == f"{HOUSE.mirror}/any:1"
    return f"{house.image('any:1')} becomes {container['image']}"


def _credentials(kube: Kube) -> str:
    registry = Cluster.of_this_cache().registry
    assert registry is not None
    assert registry.answers()  # that it wants to know who asks
    pulled = {each["spec"]["containers"][0]["image"] for each in installation.pods(kube)}
    assert all(each.startswith(f"{HOUSE.mirror}/") for each in pulled)
    return f"it answers 401 to those without; with the Secret of the values, nodes have pulled {', '.join(pulled)}"


SIGHTS: Final[Mapping[Oddity, Callable[[Kube], str]]] = MappingProxyType(
    {
        Oddity.CERTIFICATE: _certificate,
        Oddity.TAINTS: _taints,
        Oddity.DOMAIN: _domain,
        Oddity.DNS_ON_NODES: _dns_on_nodes,
        Oddity.IPV6_FIRST: _families,
        Oddity.IPV4_ALONE: _families,
        Oddity.NO_DEFAULT_CLASS: _no_default_class,
        Oddity.RESTRICTED: _restricted,
        Oddity.USER_IDS: _user_ids,
        Oddity.BOUNDS: _bounds,
        Oddity.MIRROR: _mirror,
        Oddity.CREDENTIALS: _credentials,
    }
)
"""How to look at each oddity once the product is installed: a failed assertion, or what was seen, in words."""
