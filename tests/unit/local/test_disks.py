from pathlib import Path

import pytest

from deploy.local import containers, disks, node
from deploy.local.errors import StepFailed
from deploy.local.profile import AWKWARD, ORDINARY
from deploy.local.topology import NODES


@pytest.fixture
def image_store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    node.make_disk(store)
    containers.write_record(store, [])
    return store


def test_every_node_gets_a_disk_with_keys(tmp_path: Path, image_store: Path) -> None:
    disks.prepare(tmp_path / "nodes", image_store)
    for each in NODES:
        assert (tmp_path / "nodes" / each.name / "pki" / "kubelet.kubeconfig").is_file()
    assert disks.admin_kubeconfig(tmp_path / "nodes").is_file()


def test_no_node_has_the_keys_of_another(tmp_path: Path, image_store: Path) -> None:
    disks.prepare(tmp_path / "nodes", image_store)
    keys = {(tmp_path / "nodes" / each.name / "pki" / "kubelet.key").read_bytes() for each in NODES}
    assert len(keys) == len(NODES)


def test_disks_do_not_outlast_a_boot_of_the_machine(
    tmp_path: Path, image_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks.prepare(tmp_path / "nodes", image_store)
    assert disks.are_of_this_boot(tmp_path / "nodes")
    another = tmp_path / disks.BOOT_ID.name
    another.write_text("another boot")
    monkeypatch.setattr(disks, "BOOT_ID", another)
    assert not disks.are_of_this_boot(tmp_path / "nodes")


def test_a_cluster_keeps_the_profile_that_its_disks_were_made_for(tmp_path: Path, image_store: Path) -> None:
    disks.prepare(tmp_path / "nodes", image_store, AWKWARD)
    assert disks.profile_of(tmp_path / "nodes") == AWKWARD
    assert disks.profile_of(tmp_path / "none") == ORDINARY


def test_disks_are_complete_or_absent(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="image store"):
        disks.prepare(tmp_path / "nodes", tmp_path / "no store")
    assert not (tmp_path / "nodes").exists()
