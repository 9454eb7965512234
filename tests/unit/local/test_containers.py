import os
from pathlib import Path

from deploy.local import containers, node


def archives(directory: Path, *names: str) -> list[Path]:
    for name in names:
        (directory / name).write_text(name)
    return [directory / name for name in names]


def test_a_new_disk_lacks_every_archive(tmp_path: Path) -> None:
    both = archives(tmp_path, "valkey.tar", "pause.tar")
    assert containers.missing(both, containers.read_record(tmp_path)) == both


def test_a_recorded_archive_is_not_missing(tmp_path: Path) -> None:
    both = archives(tmp_path, "valkey.tar", "pause.tar")
    containers.write_record(tmp_path, both[:1])
    assert containers.missing(both, containers.read_record(tmp_path)) == both[1:]


def test_a_rebuilt_archive_is_missing(tmp_path: Path) -> None:
    (one,) = archives(tmp_path, "valkey.tar")
    containers.write_record(tmp_path, [one])
    os.utime(one, (0, 0))
    assert containers.missing([one], containers.read_record(tmp_path)) == [one]


def test_copies_share_layers_but_not_databases(tmp_path: Path) -> None:
    store, target = tmp_path / "store", tmp_path / "node1"
    for disk in (store, target):
        node.make_disk(disk)
    for name in ("metadata/meta.db", "snapshots/1/fs/file"):
        (store / containers.CONTAINERD / name).parent.mkdir(parents=True)
        (store / containers.CONTAINERD / name).write_text(name)
    containers.write_record(store, [])
    containers.copy_store(store, target)
    original, copy = (disk / containers.CONTAINERD for disk in (store, target))
    assert (original / "snapshots/1/fs/file").samefile(copy / "snapshots/1/fs/file")
    assert not (original / "metadata/meta.db").samefile(copy / "metadata/meta.db")
    assert (copy / "metadata/meta.db").read_text() == "metadata/meta.db"


def test_an_image_whose_name_now_means_another_is_replaced() -> None:
    listing = (
        "REF                 TYPE  DIGEST      SIZE  PLATFORMS   LABELS\n"
        "localhost/demo:dev  oci   sha256:new  1 MiB linux/amd64 io.cri-containerd.image=managed\n"
        "sha256:aaa          oci   sha256:old  1 MiB linux/amd64 io.cri-containerd.image=managed\n"
        "sha256:bbb          oci   sha256:new  1 MiB linux/amd64 io.cri-containerd.image=managed\n"
    )
    assert containers.replaced(listing) == ["sha256:aaa"]
