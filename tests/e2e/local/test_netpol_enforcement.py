"""Rulesets in the kernel: real TCP connections through a router that stands for a node.

Three isolated network namespaces: the node, and one on either side of it whose addresses are those of pods.
"""

import asyncio
import ctypes
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deploy.local import progress
from deploy.local.errors import StepFailed
from deploy.local.netpol import nft
from deploy.local.netpol.ruleset import render

NODE, SERVERS, CLIENTS = "tss-test-node", "tss-test-servers", "tss-test-clients"
SERVER, NEIGHBOUR = "198.19.0.2", "198.19.0.3"
PROXY, STRANGER = "198.19.1.2", "198.19.1.3"
NODE_ADDRESSES = ("198.19.0.1", "198.19.1.1")
SERVICE = "198.19.32.1"
API_PORT = 6443
# A refused SYN is dropped; an admitted one is answered in far less than a millisecond.
PATIENCE_SECONDS = 0.25
CLONE_NEWNET = 0x40000000  # linux/sched.h

TOPOLOGY = [
    f"link add pods-a netns {NODE} type veth peer name eth0 netns {SERVERS}",
    f"link add pods-b netns {NODE} type veth peer name eth0 netns {CLIENTS}",
    f"-n {NODE} addr add {NODE_ADDRESSES[0]}/24 dev pods-a",
    f"-n {NODE} addr add {NODE_ADDRESSES[1]}/24 dev pods-b",
    *(f"-n {SERVERS} addr add {address}/24 dev eth0" for address in (SERVER, NEIGHBOUR)),
    *(f"-n {CLIENTS} addr add {address}/24 dev eth0" for address in (PROXY, STRANGER)),
    *(f"-n {NODE} link set {device} up" for device in ("pods-a", "pods-b")),
    *(f"-n {name} link set eth0 up" for name in (SERVERS, CLIENTS)),
    f"-n {SERVERS} route add default via {NODE_ADDRESSES[0]}",
    f"-n {CLIENTS} route add default via {NODE_ADDRESSES[1]}",
]
# What kube-proxy does for a Service, in its smallest form.
SERVICE_RULES = f"""
table ip service {{
    chain prerouting {{
        type nat hook prerouting priority dstnat
        ip daddr {SERVICE} tcp dport 80 dnat to {SERVER}:6379
    }}
}}
"""
T = TypeVar("T")


def ip(arguments: str, log: Path) -> None:
    progress.run(f"ip {arguments}", ["ip", *arguments.split()], log=log)


def remove_namespaces(log: Path) -> None:
    for name in (NODE, SERVERS, CLIENTS):
        if Path("/run/netns", name).exists():
            ip(f"netns del {name}", log)


def inside(namespace: str, action: Callable[[], T]) -> T:
    """Call a function in a network namespace; a socket that it creates stays there."""

    def enter_and_act() -> T:
        with Path("/run/netns", namespace).open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        return action()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(enter_and_act).result()


def listen(namespace: str, address: str, port: int) -> socket.socket:
    return inside(namespace, lambda: socket.create_server((address, port)))


def connect(namespace: str, source: str, target: tuple[str, int]) -> socket.socket:
    return inside(namespace, lambda: socket.create_connection(target, PATIENCE_SECONDS, (source, 0)))


def reaches(source: str, address: str, port: int = 6379) -> bool:
    namespace = {SERVER: SERVERS, NEIGHBOUR: SERVERS, PROXY: CLIENTS, STRANGER: CLIENTS}.get(source, NODE)
    try:
        connect(namespace, source, (address, port)).close()
    except TimeoutError:
        return False
    return True


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    log = tmp_path_factory.mktemp("ip") / "ip.log"
    remove_namespaces(log)
    with ExitStack() as stack:
        stack.callback(remove_namespaces, log)
        for name in (NODE, SERVERS, CLIENTS):
            ip(f"netns add {name}", log)
        for arguments in TOPOLOGY:
            ip(arguments, log)
        inside(NODE, lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"))
        namespace = Path("/run/netns", NODE)
        asyncio.run(nft.load(namespace, SERVICE_RULES))
        for address, port in ((SERVER, 6379), (SERVER, 80), (NEIGHBOUR, 6379)):
            stack.enter_context(closing(listen(SERVERS, address, port)))
        stack.enter_context(closing(listen(CLIENTS, PROXY, 6379)))
        for port in (API_PORT, 80):
            stack.enter_context(closing(listen(NODE, NODE_ADDRESSES[0], port)))
        yield namespace


def a_pod(address: str, app: str) -> dict[str, Any]:
    ports = [{"name": "valkey", "containerPort": 6379}]
    return {
        "metadata": {"namespace": "shop", "name": app, "labels": {"app": app}},
        "spec": {"nodeName": "node1", "containers": [{"ports": ports}]},
        "status": {"podIP": address, "phase": "Running"},
    }


PODS = [a_pod(SERVER, "server"), a_pod(NEIGHBOUR, "neighbour"), a_pod(PROXY, "proxy"), a_pod(STRANGER, "stranger")]


def enforce(node: Path, **spec: Any) -> None:
    """Have the node enforce one policy, for the server or for the pods that it selects."""
    spec = {"podSelector": {"matchLabels": {"app": "server"}}} | spec
    policy = {"metadata": {"namespace": "shop", "name": "policy", "uid": "0000"}, "spec": spec}
    asyncio.run(nft.load(node, render("node1", PODS, [{"metadata": {"name": "shop"}}], [policy])))


def of(app: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": {"app": app}}}


def test_without_policies_everybody_reaches_everybody(node: Path) -> None:
    asyncio.run(nft.load(node, render("node1", PODS, [], [])))
    assert reaches(STRANGER, SERVER)
    assert reaches(STRANGER, SERVER, 80)
    assert reaches(STRANGER, SERVICE, 80)
    assert reaches(NODE_ADDRESSES[0], SERVER)


def test_a_policy_admits_one_pod_on_one_port_and_refuses_the_rest(node: Path) -> None:
    enforce(node, ingress=[{"from": [of("proxy")], "ports": [{"port": "valkey"}]}])
    assert reaches(PROXY, SERVER)
    assert not reaches(PROXY, SERVER, 80)
    assert not reaches(STRANGER, SERVER)
    assert reaches(STRANGER, NEIGHBOUR)


def test_a_policy_judges_traffic_to_a_service_by_the_pod_behind_it(node: Path) -> None:
    enforce(node, ingress=[{"from": [of("proxy")], "ports": [{"port": 6379}]}])
    assert reaches(PROXY, SERVICE, 80)
    assert not reaches(STRANGER, SERVICE, 80)


def test_a_closed_pod_still_answers_its_own_node_and_may_call_others(node: Path) -> None:
    enforce(node, ingress=[])
    assert not reaches(PROXY, SERVER)
    assert reaches(NODE_ADDRESSES[0], SERVER)
    assert reaches(SERVER, PROXY)


def test_an_egress_policy_refuses_what_it_does_not_name_even_the_api_server_of_its_own_node(node: Path) -> None:
    enforce(node, policyTypes=["Egress"], podSelector=of("proxy")["podSelector"], egress=[{"to": [of("server")]}])
    assert reaches(PROXY, SERVER)
    assert not reaches(PROXY, NEIGHBOUR)
    assert not reaches(PROXY, NODE_ADDRESSES[0], API_PORT)
    assert reaches(PROXY, NODE_ADDRESSES[0], 80)
    assert reaches(STRANGER, NODE_ADDRESSES[0], API_PORT)


def test_both_ends_must_agree_when_both_are_isolated(node: Path) -> None:
    both = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    enforce(node, **both, ingress=[{"from": [of("proxy")]}], egress=[{"to": [of("neighbour")]}])
    assert reaches(PROXY, NEIGHBOUR)
    assert not reaches(PROXY, SERVER)
    assert not reaches(STRANGER, NEIGHBOUR)


def test_an_ip_block_admits_all_but_what_it_excepts(node: Path) -> None:
    block = {"cidr": "0.0.0.0/0", "except": [f"{STRANGER}/32", "203.0.113.0/24"]}
    enforce(node, ingress=[{"from": [{"ipBlock": block}], "ports": [{"port": 6000, "endPort": 7000}]}])
    assert reaches(PROXY, SERVER)
    assert not reaches(STRANGER, SERVER)
    assert not reaches(PROXY, SERVER, 80)


def test_connections_that_were_allowed_outlive_the_policy_that_closes_the_pod(node: Path) -> None:
    enforce(node, ingress=[{}])
    with listen(SERVERS, SERVER, 6380) as server, connect(CLIENTS, PROXY, (SERVER, 6380)) as client:
        accepted, _ = server.accept()
        with accepted:
            enforce(node, ingress=[])
            client.sendall(b"still here")
            assert accepted.recv(64) == b"still here"
            assert not reaches(PROXY, SERVER, 6380)


def test_a_ruleset_that_nft_refuses_leaves_the_old_one_in_force(node: Path) -> None:
    enforce(node, ingress=[])
    with pytest.raises(StepFailed, match=r"tss-test-node.*syntax error"):
        asyncio.run(nft.load(node, "table inet tss-netpol\ndelete table inet tss-netpol\nnonsense\n"))
    assert not reaches(PROXY, SERVER)


def test_a_missing_namespace_is_named() -> None:
    absent = Path("/run/netns/tss-test-absent")
    with pytest.raises(StepFailed, match="tss-test-absent"):
        asyncio.run(nft.load(absent, "\n"))
