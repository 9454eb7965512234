import os
from pathlib import Path

from deploy.local import binaries, images
from deploy.local.debian import RootFilesystem


def test_every_image_is_local_so_that_no_node_ever_asks_a_registry() -> None:
    for name in images.images():
        assert name.startswith("localhost/")
        assert not name.endswith(":latest")


def test_images_of_toolhive_carry_its_version() -> None:
    for name in (images.TOOLHIVE_OPERATOR, images.TOOLHIVE_PROXYRUNNER, images.TOOLHIVE_VMCP):
        assert name.endswith(f":{binaries.TOOLHIVE_VERSION}")
        assert name in images.images()


def test_every_image_has_an_archive_of_its_own() -> None:
    keys = {(image.names[0], image.key) for image in images.images().values()}
    assert len(keys) == len({image.names[0] for image in images.images().values()})


def test_only_the_newest_archives_of_an_image_are_kept(tmp_path: Path) -> None:
    archives = [tmp_path / f"image-{age}.tar" for age in range(6)]
    for age, archive in enumerate(archives):
        archive.write_bytes(b"")
        os.utime(archive, (1000 - age, 1000 - age))
    assert set(images.superseded(archives)) == set(archives[images.ARCHIVES_KEPT :])
    assert images.superseded(archives[: images.ARCHIVES_KEPT]) == []


def test_debian_packages_are_unpacked_with_everything_that_the_command_needs() -> None:
    command = RootFilesystem("sid", ["valkey-server"], ["true"]).command(Path("/somewhere/root.tar"))
    assert command[0] == "unshare"
    assert command[-2:] == ["sid", "/somewhere/root.tar"]
    assert "--extract-hook=true" in command
    (included,) = (argument for argument in command if argument.startswith("--include="))
    assert {"valkey-server", "dash"} <= set(included.removeprefix("--include=").split(","))
