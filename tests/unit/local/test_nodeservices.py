import tomllib
from pathlib import Path

import pytest

from deploy.local import node, nodeservices
from deploy.local.topology import NODES

PAUSE = "localhost/pause:v1"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    node.make_disk(tmp_path / "node1")
    return tmp_path / "node1"


def _file(disk: Path, argument: str) -> Path:
    return disk / argument.partition("=")[2].removeprefix(f"{node.INSIDE}/")


def test_every_configuration_file_that_is_named_exists(disk: Path) -> None:
    for command in nodeservices.install(disk, NODES[0], PAUSE).values():
        (config,) = (argument for argument in command if argument.startswith("--config="))
        assert _file(disk, config).is_file()


def test_configuring_twice_changes_no_command(disk: Path) -> None:
    assert nodeservices.install(disk, NODES[0], PAUSE) == nodeservices.install(disk, NODES[0], PAUSE)


def test_configuring_twice_writes_no_file_of_a_service_again(disk: Path) -> None:
    def written() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in (disk / "etc").glob("kube*.json")}

    nodeservices.install(disk, NODES[0], PAUSE)
    before = written()
    assert len(before) == 2
    nodeservices.install(disk, NODES[0], PAUSE)
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
