import json
import os
import subprocess
import sys
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

from deploy.local.topology import (
    API_SERVICE_ADDRESS,
    API_SERVICE_ADDRESS_6,
    BENCHMARKS,
    BENCHMARKS_6,
    DNS_ADDRESS,
    NODE_NETWORK,
    NODE_NETWORK_6,
    NODES,
    POD_NETWORK,
    POD_NETWORK_6,
    SERVICE_NETWORK,
    SERVICE_NETWORK_6,
)

Network: TypeAlias = IPv4Network | IPv6Network

SHAPE = """
import json
from deploy.local import cgroups, paths, topology
names = [topology.BRIDGE, *(node.interface for node in topology.NODES), cgroups.ROOT, paths.state().name]
networks = [topology.NODE_NETWORK, topology.POD_NETWORK, topology.SERVICE_NETWORK]
networks += [topology.NODE_NETWORK_6, topology.POD_NETWORK_6, topology.SERVICE_NETWORK_6]
print(json.dumps([names, [str(network) for network in networks]]))
"""


def shape(number: int, cache: Path) -> tuple[set[str], list[Network]]:
    """Names and networks of a cluster; modules take its number from the environment as they are imported."""
    environment = {**os.environ, "SESSION_STORAGE_CLUSTER": str(number), "SESSION_STORAGE_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", SHAPE], capture_output=True, check=True, env=environment)
    names, networks = json.loads(done.stdout)
    return set(names), [ip_network(network) for network in networks]


def is_within_benchmarks(network: Network) -> bool:
    if isinstance(network, IPv4Network):
        return network.subnet_of(BENCHMARKS)
    return network.subnet_of(BENCHMARKS_6)


def test_clusters_of_one_machine_share_neither_names_nor_addresses(tmp_path: Path) -> None:
    (names, networks), (other_names, other_networks) = shape(0, tmp_path), shape(7, tmp_path)
    assert not names & other_names
    assert all(is_within_benchmarks(network) for network in (*networks, *other_networks))
    assert not any(one.overlaps(other) for one in networks for other in other_networks)


def test_networks_of_nodes_pods_and_services_do_not_overlap() -> None:
    for one, other in combinations((NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK), 2):
        assert not one.overlaps(other)
    for one_6, other_6 in combinations((NODE_NETWORK_6, POD_NETWORK_6, SERVICE_NETWORK_6), 2):
        assert not one_6.overlaps(other_6)


def test_each_node_has_its_own_part_of_the_pod_network() -> None:
    assert all(node.pods.subnet_of(POD_NETWORK) and node.pods_6.subnet_of(POD_NETWORK_6) for node in NODES)
    assert len({node.pods for node in NODES}) == len({node.pods_6 for node in NODES}) == len(NODES)


def test_each_node_has_its_own_zone_and_address() -> None:
    assert len({node.zone for node in NODES}) == len({node.address for node in NODES}) == len(NODES)
    assert len({node.address_6 for node in NODES}) == len(NODES)


def test_service_addresses_lie_in_the_service_network() -> None:
    assert {API_SERVICE_ADDRESS, DNS_ADDRESS} <= set(map(str, SERVICE_NETWORK.hosts()))
    assert ip_address(API_SERVICE_ADDRESS_6) in SERVICE_NETWORK_6


def test_interface_names_fit_the_kernels_fifteen_characters() -> None:
    assert all(len(node.interface) <= 15 for node in NODES)
