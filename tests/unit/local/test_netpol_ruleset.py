"""The text of a node's ruleset: the whole text for one policy, and single rules for the rest."""

from typing import Any

import pytest

from deploy.local.netpol.ruleset import render

SERVER = "198.18.16.2"
NAMESPACES = [
    {"metadata": {"name": "shop", "labels": {"kubernetes.io/metadata.name": "shop"}}},
    {"metadata": {"name": "other", "labels": {"kubernetes.io/metadata.name": "other", "team": "red"}}},
]

ONE_POLICY = """\
table inet tss-netpol
delete table inet tss-netpol
table inet tss-netpol {
	# shop/only-proxies
	chain ingress-policy-0000 {
		ip saddr { 198.18.16.3, 198.18.17.2 } ip daddr . tcp dport { 198.18.16.2 . 6379 } accept
		ip saddr { 198.18.16.3, 198.18.17.2 } udp dport 53 accept
		ip saddr 198.18.0.0/24 ip saddr != 198.18.0.1/32 ip daddr . tcp dport { 198.18.16.2 . 6379 } accept
		ip saddr 198.18.0.0/24 ip saddr != 198.18.0.1/32 udp dport 53 accept
	}
	chain ingress-198.18.16.2 {
		ip saddr 198.18.16.2 accept
		jump ingress-policy-0000
		counter drop
	}
	map ingress4 {
		type ipv4_addr : verdict
		elements = { 198.18.16.2 : jump ingress-198.18.16.2 }
	}
	map ingress6 {
		type ipv6_addr : verdict
	}
	# shop/only-proxies
	chain egress-policy-0000 {
	}
	chain egress-198.18.16.2 {
		ip daddr 198.18.16.2 accept
		jump egress-policy-0000
		counter drop
	}
	map egress4 {
		type ipv4_addr : verdict
		elements = { 198.18.16.2 : jump egress-198.18.16.2 }
	}
	map egress6 {
		type ipv6_addr : verdict
	}
	chain forward-egress {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		ip saddr vmap @egress4
		ip6 saddr vmap @egress6
	}
	chain forward-ingress {
		type filter hook forward priority filter + 10; policy accept;
		ct state established,related accept
		ip daddr vmap @ingress4
		ip6 daddr vmap @ingress6
	}
	chain input-egress {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		meta l4proto != { tcp, udp } accept
		th dport != { 6443, 53 } accept
		ip saddr vmap @egress4
		ip6 saddr vmap @egress6
	}
}
"""


def a_pod(address: str, app: str, *, namespace: str = "shop", node: str = "node1", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": app, "labels": {"app": app}},
        "spec": {"nodeName": node, "containers": [{"ports": [{"name": "valkey", "containerPort": 6379}]}]},
        "status": {"podIP": address, "phase": "Running", **status},
    }


def a_policy(**spec: Any) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": "only-proxies", "uid": "0000"}
    return {"metadata": metadata, "spec": {"podSelector": {"matchLabels": {"app": "server"}}, **spec}}


def accepting_rules(policy: dict[str, Any], *others: dict[str, Any]) -> list[str]:
    text = render("node1", [a_pod(SERVER, "server"), *others], NAMESPACES, [policy])
    chain = text.partition("-policy-0000 {\n")[2].partition("}\n")[0] if "-policy-0000 {" in text else ""
    return [line.strip() for line in chain.splitlines() if line.endswith("accept")]


def test_a_policy_becomes_one_chain_and_each_of_its_pods_another() -> None:
    pods = [
        a_pod("198.18.17.2", "proxy", node="node2"),
        a_pod("198.18.16.3", "proxy"),
        a_pod("198.18.16.4", "stranger"),
        a_pod("198.18.16.5", "proxy", namespace="other"),
        a_pod(SERVER, "server"),
    ]
    peers = [
        {"podSelector": {"matchLabels": {"app": "proxy"}}},
        {"ipBlock": {"cidr": "198.18.0.0/24", "except": ["198.18.0.1/32"]}},
    ]
    ports = [{"protocol": "TCP", "port": "valkey"}, {"protocol": "UDP", "port": 53}]
    policy = a_policy(policyTypes=["Ingress", "Egress"], ingress=[{"from": peers, "ports": ports}])
    assert render("node1", pods, NAMESPACES, [policy]) == ONE_POLICY


def test_the_order_of_objects_does_not_change_the_text() -> None:
    pods = [a_pod(SERVER, "server"), a_pod("198.18.16.10", "server"), a_pod("198.18.16.9", "proxy")]
    first, second = a_policy(ingress=[{}]), a_policy(ingress=[])
    second["metadata"] = {**first["metadata"], "name": "zero", "uid": "0001"}
    text = render("node1", pods, NAMESPACES, [first, second])
    assert render("node1", pods[::-1], NAMESPACES[::-1], [second, first]) == text
    assert text.index("{ 198.18.16.2 : jump") < text.index("198.18.16.10 : jump")


def test_a_node_without_isolated_pods_gets_hooks_that_let_all_pass() -> None:
    text = render("node2", [a_pod(SERVER, "server")], NAMESPACES, [a_policy()])
    assert "drop" not in text
    assert "elements" not in text


def test_a_policy_without_types_isolates_egress_only_if_it_has_egress_rules() -> None:
    pods = [a_pod(SERVER, "server")]
    assert "chain egress-198" not in render("node1", pods, NAMESPACES, [a_policy()])
    assert "chain ingress-198" in render("node1", pods, NAMESPACES, [a_policy()])
    assert "chain egress-198" in render("node1", pods, NAMESPACES, [a_policy(egress=[{}])])
    assert "chain ingress-198" not in render("node1", pods, NAMESPACES, [a_policy(policyTypes=["Egress"])])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, ["accept"]),
        ({"from": [], "ports": []}, ["accept"]),
        ({"ports": [{"port": 80}]}, ["tcp dport 80 accept"]),
        ({"ports": [{"port": 80, "endPort": 90, "protocol": "UDP"}]}, ["udp dport 80-90 accept"]),
        ({"ports": [{"protocol": "SCTP"}]}, ["meta l4proto sctp accept"]),
        ({"ports": [{"port": "nobody-has-it"}]}, []),
        ({"ports": [{"port": "valkey", "protocol": "UDP"}]}, []),
        ({"from": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}, []),
        ({"from": [{"podSelector": {}}]}, ["ip saddr { 198.18.16.2 } accept"]),
        ({"from": [{"namespaceSelector": {}}]}, ["ip saddr { 198.18.16.2, 198.18.17.9 } accept"]),
        ({"from": [{"namespaceSelector": {"matchLabels": {"team": "red"}}}]}, ["ip saddr { 198.18.17.9 } accept"]),
        ({"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "server"}}}]},
         ["ip saddr { 198.18.16.2 } accept"]),
        ({"from": [{"ipBlock": {"cidr": "10.1.2.3/8", "except": ["10.1.0.0/16", "10.2.0.0/16"]}}]},
         ["ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 ip saddr != 10.2.0.0/16 accept"]),
        ({"from": [{"ipBlock": {"cidr": "2001:db8::/32"}}]}, ["ip6 saddr 2001:db8::/32 accept"]),
        ({"from": [{"ipBlock": {"cidr": "2001:db8::/32"}}], "ports": [{"port": "valkey"}]}, []),
    ],
)  # fmt: skip
def test_an_ingress_rule_accepts(rule: dict[str, Any], expected: list[str]) -> None:
    assert accepting_rules(a_policy(ingress=[rule]), a_pod("198.18.17.9", "client", namespace="other")) == expected


def test_a_named_port_of_an_egress_rule_is_resolved_at_each_destination() -> None:
    client = a_pod("198.18.17.9", "client", node="node2")
    client["spec"]["containers"][0]["ports"][0]["containerPort"] = 7000
    policy = a_policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "valkey"}]}])
    assert accepting_rules(policy, client) == ["ip daddr . tcp dport { 198.18.16.2 . 6379, 198.18.17.9 . 7000 } accept"]


def test_ports_of_sidecars_can_be_named_and_those_of_other_init_containers_cannot() -> None:
    policy = a_policy(ingress=[{"ports": [{"port": "early"}, {"port": "late"}]}])
    server = a_pod(SERVER, "server")
    server["spec"]["initContainers"] = [
        {"ports": [{"name": "early", "containerPort": 1}]},
        {"restartPolicy": "Always", "ports": [{"name": "late", "containerPort": 2}]},
    ]
    text = render("node1", [server], NAMESPACES, [policy])
    assert "ip daddr . tcp dport { 198.18.16.2 . 2 } accept" in text
    assert "198.18.16.2 . 1" not in text


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_no_peer(phase: str) -> None:
    policy = a_policy(ingress=[{"from": [{"namespaceSelector": {}}]}])
    ended = a_pod("198.18.16.3", "job", phase=phase)
    assert accepting_rules(policy, ended) == ["ip saddr { 198.18.16.2 } accept"]


def test_a_pod_in_its_nodes_network_is_neither_isolated_nor_a_peer() -> None:
    on_host = a_pod("198.18.0.11", "server")
    on_host["spec"]["hostNetwork"] = True
    text = render("node1", [on_host], NAMESPACES, [a_policy(ingress=[{"from": [{"podSelector": {}}]}])])
    assert "198.18.0.11" not in text


def test_a_pod_without_an_address_is_left_out() -> None:
    pending = a_pod("", "server", phase="Pending")
    assert "drop" not in render("node1", [pending], NAMESPACES, [a_policy()])


def test_of_two_pods_with_the_same_address_the_younger_counts() -> None:
    old, new = a_pod(SERVER, "stranger"), a_pod(SERVER, "server")
    old["metadata"]["creationTimestamp"] = "2026-11-23T10:00:00Z"
    new["metadata"]["creationTimestamp"] = "2026-11-23T10:00:01Z"
    assert "drop" in render("node1", [new, old], NAMESPACES, [a_policy()])
    assert "drop" not in render("node1", [new | {"metadata": old["metadata"]}], NAMESPACES, [a_policy()])


def test_a_pod_with_addresses_of_both_families_has_a_chain_for_each_and_rules_mix_no_families() -> None:
    addresses = [{"ip": "2001:db8::2"}, {"ip": SERVER}]
    server = a_pod("2001:db8::2", "server", podIPs=addresses)
    policy = a_policy(ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": "valkey"}]}])
    text = render("node1", [server], NAMESPACES, [policy])
    assert "elements = { 198.18.16.2 : jump ingress-198.18.16.2 }" in text
    assert "elements = { 2001:db8::2 : jump ingress-2001.db8..2 }" in text
    assert [line.strip() for line in text.splitlines() if "6379" in line] == [
        "ip saddr { 198.18.16.2 } ip daddr . tcp dport { 198.18.16.2 . 6379 } accept",
        "ip6 saddr { 2001:db8::2 } ip6 daddr . tcp dport { 2001:db8::2 . 6379 } accept",
    ]
