import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deploy.local import oci


def written(directory: Path, *names: str) -> tarfile.TarFile:
    layer = directory / "layer.tar"
    oci.write_layer(layer, {"usr/bin/program": b"\x7fELF"}, {"tmp": 0o1777})
    process = oci.Process(["/usr/bin/program"], {"PATH": "/usr/bin"}, "65532:65532")
    oci.write_archive(directory / "image.tar", names or ("localhost/a:v1",), layer, process)
    return tarfile.open(directory / "image.tar")


def content(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None
    return member.read()


def blob(archive: tarfile.TarFile, descriptor: dict[str, Any]) -> bytes:
    found = content(archive, f"blobs/{descriptor['digest'].replace(':', '/')}")
    assert hashlib.sha256(found).hexdigest() == descriptor["digest"].removeprefix("sha256:")
    assert len(found) == descriptor["size"]
    return found


def test_every_blob_is_found_by_its_digest_from_the_index_down(tmp_path: Path) -> None:
    with written(tmp_path) as archive:
        assert json.loads(content(archive, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        (described,) = json.loads(content(archive, "index.json"))["manifests"]
        manifest = json.loads(blob(archive, described))
        config = json.loads(blob(archive, manifest["config"]))
        (layer,) = manifest["layers"]
        assert config["rootfs"]["diff_ids"] == [layer["digest"]]
        assert len(config["history"]) == 1
        assert config["config"] == {
            "Entrypoint": ["/usr/bin/program"],
            "Env": ["PATH=/usr/bin"],
            "User": "65532:65532",
        }
        with tarfile.open(fileobj=io.BytesIO(blob(archive, layer))) as unpacked:
            assert {member.name: member.mode for member in unpacked} == {
                "tmp": 0o1777,
                "usr/bin/program": 0o755,
            }


def test_one_archive_can_bring_an_image_under_several_names(tmp_path: Path) -> None:
    with written(tmp_path, "localhost/a:v1", "localhost/b:v1") as archive:
        manifests = json.loads(content(archive, "index.json"))["manifests"]
    assert [each["annotations"]["io.containerd.image.name"] for each in manifests] == [
        "localhost/a:v1",
        "localhost/b:v1",
    ]
    assert len({each["digest"] for each in manifests}) == 1


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name).close()
        archives.append((tmp_path / name / "image.tar").read_bytes())
    assert archives[0] == archives[1]


@given(st.dictionaries(st.sampled_from(["a", "b/c", "d/e/f"]), st.binary(max_size=64)))
def test_a_layer_holds_exactly_the_files_it_was_given(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        layer = Path(directory, "layer.tar")
        oci.write_layer(layer, files, {})
        with tarfile.open(layer) as unpacked:
            assert {name: content(unpacked, name) for name in unpacked.getnames()} == files
