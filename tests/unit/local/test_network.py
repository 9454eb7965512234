from pathlib import Path

import pytest

from deploy.local import network
from deploy.local.topology import BRIDGE, NODES, SERVICE_NETWORK, SERVICE_NETWORK_6


def test_bridge_is_added_only_where_it_is_missing() -> None:
    assert f"link add {BRIDGE} type bridge" in network.host_commands(set())
    assert not any(" add " in command for command in network.host_commands({BRIDGE}))


def test_cable_is_added_only_where_it_is_missing() -> None:
    node = NODES[1]
    assert any("netns 42" in command for command in network.cable_commands(node, 42, is_plugged=False))
    assert not any(" add " in command for command in network.cable_commands(node, 42, is_plugged=True))


def test_nodes_reach_the_pods_of_all_others_and_services_and_nothing_else() -> None:
    for node in NODES:
        routes = [command.split()[2] for command in network.node_commands(node) if command.startswith("route")]
        assert routes == [*(str(other.pods) for other in NODES if other != node), str(SERVICE_NETWORK)]


def test_nodes_reach_the_ipv6_addresses_of_pods_of_all_others_and_of_services() -> None:
    for node in NODES:
        address, *rest = network.node_commands_6(node)
        assert address.split()[2].startswith(f"{node.address_6}/")
        routes = [command.split()[2] for command in rest]
        assert routes == [*(str(other.pods_6) for other in NODES if other != node), str(SERVICE_NETWORK_6)]


def test_commands_can_be_repeated() -> None:
    """`replace` and `set` work whatever is there; only `add` would fail the second time."""
    again = [
        *network.host_commands({BRIDGE}),
        *network.cable_commands(NODES[0], 1, is_plugged=True),
        *network.node_commands(NODES[0]),
        *network.node_commands_6(NODES[0]),
        *network.route_commands(),
    ]
    assert not any(" add " in command for command in again)


@pytest.mark.parametrize("status", [0, 2])
def test_a_kernel_has_ipv6_if_a_new_network_namespace_takes_such_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    tried = tmp_path / "tried"
    unshare = tmp_path / "unshare"
    unshare.write_text(f'#!/bin/sh\necho "$*" >{tried}\nexit {status}\n')
    unshare.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert network.has_ipv6() == (status == 0)
    assert tried.read_text() == f"--net ip address add {NODES[0].address_6}/128 dev lo\n"
