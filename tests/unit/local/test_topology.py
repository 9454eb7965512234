import json
import os
import subprocess
import sys
from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path

from deploy.local.topology import (
    API_SERVICE_ADDRESS,
    BENCHMARKS,
    DNS_ADDRESS,
    NODE_NETWORK,
    NODES,
    POD_NETWORK,
    SERVICE_NETWORK,
)

SHAPE = """
import json
from deploy.local import cgroups, paths, topology
names = [topology.BRIDGE, *(node.interface for node in topology.NODES), cgroups.ROOT, paths.state().name]
networks = [topology.NODE_NETWORK, topology.POD_NETWORK, topology.SERVICE_NETWORK]
print(json.dumps([names, [str(network) for network in networks]]))
"""


def shape(number: int, cache: Path) -> tuple[set[str], list[IPv4Network]]:
    """Names and networks of a cluster; modules take its number from the environment as they are imported."""
    environment = {**os.environ, "SESSION_STORAGE_CLUSTER": str(number), "SESSION_STORAGE_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", SHAPE], capture_output=True, check=True, env=environment)
    names, networks = json.loads(done.stdout)
    return set(names), [IPv4Network(network) for network in networks]


def test_clusters_of_one_machine_share_neither_names_nor_addresses(tmp_path: Path) -> None:
    (names, networks), (other_names, other_networks) = shape(0, tmp_path), shape(7, tmp_path)
    assert not names & other_names
    assert all(network.subnet_of(BENCHMARKS) for network in (*networks, *other_networks))
    assert not any(one.overlaps(other) for one in networks for other in other_networks)


def test_networks_of_nodes_pods_and_services_do_not_overlap() -> None:
    for one, other in combinations((NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK), 2):
        assert not one.overlaps(other)


def test_each_node_has_its_own_part_of_the_pod_network() -> None:
    assert all(node.pods.subnet_of(POD_NETWORK) for node in NODES)
    assert len({node.pods for node in NODES}) == len(NODES)


def test_each_node_has_its_own_zone_and_address() -> None:
    assert len({node.zone for node in NODES}) == len({node.address for node in NODES}) == len(NODES)


def test_service_addresses_lie_in_the_service_network() -> None:
    assert {API_SERVICE_ADDRESS, DNS_ADDRESS} <= set(map(str, SERVICE_NETWORK.hosts()))


def test_interface_names_fit_the_kernels_fifteen_characters() -> None:
    assert all(len(node.interface) <= 15 for node in NODES)
