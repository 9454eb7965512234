"""The rendered rulesets let through exactly what NetworkPolicies allow.

The test compares two independent models for random clusters: `allows` interprets the policies as Kubernetes documents
them, and `Firewall` interprets the text as nftables does, for the small part of its language that we use.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.netpol.ruleset import render

NODES = ("node1", "node2")
OUTSIDE = ("198.19.0.5", "198.19.1.5", "2001:db8:9::5")
PORTS = (80, 81, 85, 6379)


class Packet(NamedTuple):
    source: str
    destination: str
    protocol: str
    port: int

    def end(self, side: str) -> str:
        return {"saddr": self.source, "daddr": self.destination}[side]


# ---- Kubernetes' rules ----


def addresses_of(pod: dict[str, Any]) -> list[str]:
    return [entry["ip"] for entry in pod["status"]["podIPs"]]


def takes(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        is_in = labels.get(term["key"], "absent") in term.get("values", [])
        met = {
            "In": is_in,
            "NotIn": not is_in,
            "Exists": term["key"] in labels,
            "DoesNotExist": term["key"] not in labels,
        }
        if not met[term["operator"]]:
            return False
    return True


@dataclass
class Cluster:
    namespaces: dict[str, dict[str, str]]
    pods: list[dict[str, Any]]
    policies: list[dict[str, Any]]

    def pod_at(self, address: str) -> dict[str, Any] | None:
        return next((pod for pod in self.pods if address in addresses_of(pod)), None)

    def allows(self, packet: Packet) -> bool:
        """Apply the policies as documented: a packet needs a matching rule at each end whose pod is isolated."""
        if packet.source == packet.destination:
            return True
        return self._allows(packet, "Egress", packet.source, packet.destination) and self._allows(
            packet, "Ingress", packet.destination, packet.source
        )

    def _allows(self, packet: Packet, policy_type: str, own: str, other: str) -> bool:
        pod = self.pod_at(own)
        if pod is None:
            return True
        policies = [
            policy
            for policy in self.policies
            if policy_type in policy["spec"]["policyTypes"]
            and policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
            and takes(policy["spec"]["podSelector"], pod["metadata"]["labels"])
        ]
        if not policies:
            return True
        rules, peers = ("egress", "to") if policy_type == "Egress" else ("ingress", "from")
        return any(
            self._fits_peers(other, rule.get(peers, []), policy["metadata"]["namespace"])
            and self._fits_ports(packet, rule.get("ports", []))
            for policy in policies
            for rule in policy["spec"].get(rules, [])
        )

    def _fits_peers(self, address: str, peers: list[dict[str, Any]], namespace: str) -> bool:
        return not peers or any(self._is_peer(address, peer, namespace) for peer in peers)

    def _is_peer(self, address: str, peer: dict[str, Any], namespace: str) -> bool:
        if block := peer.get("ipBlock"):
            number = ip_address(address)
            excluded = any(number in ip_network(one) for one in block.get("except", []))
            return number in ip_network(block["cidr"]) and not excluded
        pod = self.pod_at(address)
        if pod is None:
            return False
        if "namespaceSelector" not in peer and pod["metadata"]["namespace"] != namespace:
            return False
        namespace_labels = self.namespaces[pod["metadata"]["namespace"]]
        return takes(peer.get("namespaceSelector", {}), namespace_labels) and takes(
            peer.get("podSelector", {}), pod["metadata"]["labels"]
        )

    def _fits_ports(self, packet: Packet, ports: list[dict[str, Any]]) -> bool:
        return not ports or any(self._is_port(packet, port) for port in ports)

    def _is_port(self, packet: Packet, port: dict[str, Any]) -> bool:
        if port["protocol"].lower() != packet.protocol:
            return False
        number = port.get("port", packet.port)
        if isinstance(number, str):
            pod = self.pod_at(packet.destination)
            names = pod["spec"]["containers"][0]["ports"] if pod else []
            return any(
                (one["name"], one["containerPort"], one["protocol"]) == (number, packet.port, port["protocol"])
                for one in names
            )
        return bool(number <= packet.port <= port.get("endPort", number))


# ---- nftables' rules ----


def is_listed(element: str, elements: str) -> bool:
    return element in elements.split(", ")


# Every match that our rulesets use, with a predicate for packets.
MATCHES: Sequence[tuple[str, Callable[..., bool]]] = (
    (r"ip6? (\w+) \{ (.*?) \} ", lambda packet, side, listed: is_listed(packet.end(side), listed)),
    (
        r"ip6? (\w+) ([\da-f][\da-f.:/]+) ",
        lambda packet, side, network: ip_address(packet.end(side)) in ip_network(network),
    ),
    (
        r"ip6? (\w+) != ([\da-f][\da-f.:/]+) ",
        lambda packet, side, network: ip_address(packet.end(side)) not in ip_network(network),
    ),
    (
        r"ip6? daddr \. (\w+) dport \{ (.*?) \} ",
        lambda packet, protocol, listed: (
            protocol == packet.protocol and is_listed(f"{packet.destination} . {packet.port}", listed)
        ),
    ),
    (r"meta l4proto (\w+) ", lambda packet, protocol: protocol == packet.protocol),
    (
        r"(\w+) dport (\d+)-?(\d*) ",
        lambda packet, protocol, first, last: (
            protocol == packet.protocol and int(first) <= packet.port <= int(last or first)
        ),
    ),
)


class Firewall:
    """Runs packets of new connections through the forward hook of one ruleset."""

    def __init__(self, text: str) -> None:
        blocks = re.findall(r"^\t(?:chain|map) (\S+) \{\n((?:\t\t.*\n)*)\t\}$", text, re.MULTILINE)
        self.blocks = {name: [line.strip() for line in body.splitlines()] for name, body in blocks}

    def forwards(self, packet: Packet) -> bool:
        return all(self._run(name, packet) is not False for name in ("forward-egress", "forward-ingress"))

    def _run(self, chain: str, packet: Packet) -> bool | None:
        new_connection = [rule for rule in self.blocks[chain] if not rule.startswith(("type ", "ct state established"))]
        verdicts = (self._verdict(rule, packet) for rule in new_connection)
        return next((verdict for verdict in verdicts if verdict is not None), None)

    def _verdict(self, rule: str, packet: Packet) -> bool | None:
        if rule in {"accept", "counter drop"}:
            return rule == "accept"
        if jump := re.fullmatch(r"jump (\S+)", rule):
            return self._run(jump[1], packet)
        if lookup := re.fullmatch(r"ip6? (\w+) vmap @(\w+)", rule):
            verdicts = dict(re.findall(r"([\da-f.:]+) : (jump [^ ,]+)", self.blocks[lookup[2]][-1]))
            verdict = verdicts.get(packet.end(lookup[1]))
            return self._verdict(verdict, packet) if verdict else None
        for pattern, fits in MATCHES:
            if match := re.match(pattern, rule):
                return self._verdict(rule[match.end() :], packet) if fits(packet, *match.groups()) else None
        raise AssertionError(f"no such rule is rendered: {rule}")


# ---- random clusters ----

label_values = st.sampled_from(["a", "b"])
labels = st.dictionaries(st.sampled_from(["app", "tier"]), label_values, max_size=2)
expressions = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["app", "tier"]),
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(label_values, min_size=1, max_size=2),
        }
    ),
    st.fixed_dictionaries({"key": st.just("app"), "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
selectors: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"matchLabels": labels}),
    st.fixed_dictionaries({"matchExpressions": st.lists(expressions, max_size=2)}),
)
blocks = st.one_of(
    st.just({"cidr": "0.0.0.0/0"}),
    st.just({"cidr": "2001:db8::/32", "except": ["2001:db8:16::2/127"]}),
    st.just({"cidr": "198.19.0.0/16", "except": ["198.19.1.0/24", "198.19.0.4/31"]}),
    st.just({"cidr": "198.18.16.0/22", "except": ["198.18.16.2/31", "198.18.16.0/24"]}),
)
peers = st.one_of(
    st.fixed_dictionaries({"podSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": selectors}),
    st.fixed_dictionaries({"podSelector": selectors, "namespaceSelector": selectors}),
    st.fixed_dictionaries({"ipBlock": blocks}),
)
protocols = st.sampled_from(["TCP", "UDP"])
ports = st.one_of(
    st.fixed_dictionaries({"protocol": protocols}),
    st.fixed_dictionaries({"protocol": protocols, "port": st.sampled_from([*PORTS, "valkey"])}),
    st.fixed_dictionaries({"protocol": protocols, "port": st.just(80), "endPort": st.sampled_from([80, 82])}),
)


def rules(side: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    optional = {side: st.lists(peers, max_size=2), "ports": st.lists(ports, max_size=2)}
    return st.lists(st.fixed_dictionaries({}, optional=optional), max_size=2)


specs = st.fixed_dictionaries(
    {
        "podSelector": selectors,
        "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
        "ingress": rules("from"),
        "egress": rules("to"),
    }
)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    namespaces = {"red": draw(labels), "blue": draw(labels)}
    pods = []
    for number in range(draw(st.integers(1, 4))):
        node = draw(st.integers(0, 1))
        port = {"name": "valkey", "containerPort": draw(st.sampled_from(PORTS)), "protocol": draw(protocols)}
        both = (f"2001:db8:{16 + node}::{2 + number}", f"198.18.{16 + node}.{2 + number}")
        pods.append(
            {
                "metadata": {"name": f"pod{number}", "namespace": draw(st.sampled_from(["red", "blue"]))}
                | {"labels": draw(labels)},
                "spec": {"nodeName": NODES[node], "containers": [{"ports": [port]}]},
                "status": {"podIP": both[0], "podIPs": [{"ip": ip} for ip in both], "phase": "Running"},
            }
        )
    policies = [
        {"metadata": {"namespace": namespace, "name": f"policy{number}", "uid": str(number)}, "spec": spec}
        for number, (namespace, spec) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from(["red", "blue"]), specs), max_size=3))
        )
    ]
    return Cluster(namespaces, pods, policies)


def packets(cluster: Cluster) -> Iterator[tuple[Packet, set[str]]]:
    """Yield packets of new connections, and the nodes that forward each."""
    nodes = {address: pod["spec"]["nodeName"] for pod in cluster.pods for address in addresses_of(pod)}
    ends = [*nodes, *OUTSIDE]
    for source in ends:
        for destination in (end for end in ends if (":" in end) == (":" in source)):
            passed = {nodes[end] for end in (source, destination) if end in nodes}
            for port in PORTS if passed else ():
                for protocol in ("tcp", "udp"):
                    yield Packet(source, destination, protocol, port), passed


@settings(deadline=None)  # an example that takes long on a slow machine is not a failure
@given(clusters())
def test_packets_pass_the_rendered_rulesets_exactly_if_the_policies_allow_them(cluster: Cluster) -> None:
    namespaces = [{"metadata": {"name": name, "labels": value}} for name, value in cluster.namespaces.items()]
    firewalls = {node: Firewall(render(node, cluster.pods, namespaces, cluster.policies)) for node in NODES}
    for packet, nodes in packets(cluster):
        passes = all(firewalls[node].forwards(packet) for node in nodes)
        assert passes == cluster.allows(packet), packet
