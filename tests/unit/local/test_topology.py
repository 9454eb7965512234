from itertools import combinations

from deploy.local.topology import (
    API_SERVICE_ADDRESS,
    DNS_ADDRESS,
    NODE_NETWORK,
    NODES,
    POD_NETWORK,
    SERVICE_NETWORK,
)


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
