import tomllib
from pathlib import Path

import pytest

from deploy.local import node, nodeservices
from deploy.local.errors import PrerequisiteMissing
from deploy.local.nodeservices import ProxyMode
from deploy.local.profile import AWKWARD, HOUSE
from deploy.local.topology import DNS_ADDRESS, HOST_ADDRESS, NODES, POD_NETWORK, POD_NETWORK_6

PAUSE = "localhost/pause:v1"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    node.make_disk(tmp_path / "node1")
    return tmp_path / "node1"


def _file(disk: Path, argument: str) -> Path:
    return disk / argument.partition("=")[2].removeprefix(f"{node.INSIDE}/")


def test_every_configuration_file_that_is_named_exists(disk: Path) -> None:
    for command in nodeservices.install(disk, NODES[0], PAUSE, ProxyMode.IPTABLES).values():
        (config,) = (argument for argument in command if argument.startswith("--config="))
        assert _file(disk, config).is_file()


def test_configuring_twice_changes_no_command(disk: Path) -> None:
    assert nodeservices.install(disk, NODES[0], PAUSE, ProxyMode.IPTABLES) == nodeservices.install(
        disk, NODES[0], PAUSE, ProxyMode.IPTABLES
    )


def test_configuring_twice_writes_no_file_of_a_service_again(disk: Path) -> None:
    def written() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in (disk / "etc").glob("kube*.json")}

    nodeservices.install(disk, NODES[0], PAUSE, ProxyMode.IPTABLES)
    before = written()
    assert len(before) == 2
    nodeservices.install(disk, NODES[0], PAUSE, ProxyMode.IPTABLES)
    assert written() == before


def test_a_changed_configuration_changes_the_command(disk: Path) -> None:
    one, other = (nodeservices.containerd_command(disk, image) for image in (PAUSE, "localhost/pause:v2"))
    assert one != other


def test_containerd_can_read_its_configuration() -> None:
    config = tomllib.loads(nodeservices.containerd_config(PAUSE))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == PAUSE
    assert cri["restrict_oom_score_adj"] is True


def test_pods_get_addresses_of_their_nodes_network() -> None:
    for each in NODES:
        (pods, _) = nodeservices.cni_config(each)["plugins"]
        assert pods["ipam"]["ranges"] == [[{"subnet": str(each.pods)}]]


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({}, ProxyMode.IPTABLES),
        ({"SESSION_STORAGE_PROXY_MODE": ""}, ProxyMode.IPTABLES),
        ({"SESSION_STORAGE_PROXY_MODE": "nftables"}, ProxyMode.NFTABLES),
    ],
)
def test_kube_proxy_works_by_iptables_unless_the_environment_says_otherwise(
    environ: dict[str, str], mode: ProxyMode
) -> None:
    assert nodeservices.proxy_mode(environ) is mode
    assert nodeservices.kube_proxy_config(NODES[0], mode)["mode"] == mode.value


def test_another_mode_of_kube_proxy_is_another_command(disk: Path) -> None:
    one, other = (nodeservices.install(disk, NODES[0], PAUSE, mode) for mode in ProxyMode)
    assert [name for name in one if one[name] != other[name]] == ["kube-proxy"]


def test_an_unknown_mode_of_kube_proxy_is_refused_with_those_that_exist() -> None:
    with pytest.raises(PrerequisiteMissing, match="must be iptables or nftables, and is 'ipvs'"):
        nodeservices.proxy_mode({"SESSION_STORAGE_PROXY_MODE": "ipvs"})


def test_kubelets_of_the_awkward_cluster_register_taints_and_name_the_dns_server_of_their_node() -> None:
    for each in NODES:
        config = nodeservices.kubelet_config(each, AWKWARD)
        assert config["registerWithTaints"] == [AWKWARD.taints[each.name].manifest()]
        assert config["clusterDNS"] == [each.address_6]
        assert config["clusterDomain"] == "corp.example"


def test_kubelets_of_an_ordinary_cluster_register_no_taint_and_name_the_service() -> None:
    config = nodeservices.kubelet_config(NODES[0])
    assert "registerWithTaints" not in config
    assert config["clusterDNS"] == [DNS_ADDRESS]


def test_nodes_of_the_awkward_cluster_know_where_the_registry_is_and_others_know_none(disk: Path) -> None:
    registries = disk / "etc" / nodeservices.REGISTRIES
    assert f"{node.INSIDE}/etc/{nodeservices.REGISTRIES}" in nodeservices.containerd_config(PAUSE)
    nodeservices.install(disk, NODES[0], PAUSE, ProxyMode.IPTABLES)
    assert not registries.exists()
    nodeservices.install(disk, NODES[0], PAUSE, ProxyMode.IPTABLES, AWKWARD)
    for host in HOUSE.hosts:
        told = tomllib.loads((registries / host / "hosts.toml").read_text())
        assert told["host"] == {f"http://{HOST_ADDRESS}:{HOUSE.port}": {"capabilities": ["pull", "resolve"]}}


def test_on_the_awkward_cluster_ipv6_comes_first_everywhere(disk: Path) -> None:
    for each in NODES:
        (pods, _) = nodeservices.cni_config(each, AWKWARD)["plugins"]
        assert pods["ipam"]["ranges"] == [[{"subnet": str(each.pods_6)}], [{"subnet": str(each.pods)}]]
        proxy = nodeservices.kube_proxy_config(each, ProxyMode.IPTABLES, AWKWARD)
        assert proxy["clusterCIDR"] == f"{POD_NETWORK_6},{POD_NETWORK}"
    kubelet = nodeservices.install(disk, NODES[0], PAUSE, ProxyMode.IPTABLES, AWKWARD)["kubelet"]
    assert f"--node-ip={NODES[0].address_6},{NODES[0].address}" in kubelet
