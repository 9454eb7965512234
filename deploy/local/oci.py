"""Writes container images as OCI archives: a layer is a tar file, so a static program needs no builder.

The same input gives the same bytes. Source of the format: OCI image-spec v1.1, `image-layout.md`,
`manifest.md` and `config.md`.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# How containerd finds the full name of an image in an archive.
CONTAINERD_NAME = "io.containerd.image.name"
OCI_NAME = "org.opencontainers.image.ref.name"
MEDIA_TYPE = "application/vnd.oci.image"


@dataclass(frozen=True)
class Process:
    """What a container of the image runs unless the pod says otherwise."""

    entrypoint: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    user: str = ""

    def config(self) -> dict[str, Any]:
        """Render the `config` object of an image configuration."""
        rendered: dict[str, Any] = {"Env": [f"{key}={value}" for key, value in (self.env or {}).items()]}
        if self.entrypoint:
            rendered["Entrypoint"] = list(self.entrypoint)
        if self.user:
            rendered["User"] = self.user
        return rendered


def write_layer(destination: Path, files: Mapping[str, Path | bytes], directories: Mapping[str, int]) -> None:
    """Write a layer with the given files, all of root and executable, and directories with their modes."""
    with tarfile.open(destination, "w") as layer:
        for name, mode in sorted(directories.items()):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            entry.mode = mode
            layer.addfile(entry)
        for name, content in sorted(files.items()):
            _add(layer, name, content)


def write_archive(destination: Path, names: Sequence[str], layer: Path, process: Process) -> None:
    """Write an image of one uncompressed layer, known by every one of `names`, as an archive."""
    layer_descriptor = _descriptor("layer.v1.tar", *_digest_of_file(layer))
    config = _json(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": process.config(),
            "rootfs": {"type": "layers", "diff_ids": [layer_descriptor["digest"]]},
            # buildah refuses to build on an image whose history and layers differ in number.
            "history": [{"created_by": "toolhive-session-storage"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{MEDIA_TYPE}.manifest.v1+json",
            "config": _descriptor("config.v1+json", *_digest_of(config)),
            "layers": [layer_descriptor],
        }
    )
    described = _descriptor("manifest.v1+json", *_digest_of(manifest))
    index = {
        "schemaVersion": 2,
        "manifests": [{**described, "annotations": {CONTAINERD_NAME: name, OCI_NAME: name}} for name in names],
    }
    with tarfile.open(destination, "w") as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json(index))
        for blob in (config, manifest):
            _add(archive, _blob_path(_digest_of(blob)[0]), blob)
        _add(archive, _blob_path(layer_descriptor["digest"]), layer)


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"{MEDIA_TYPE}.{kind}", "digest": digest, "size": size}


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _digest_of(content: bytes) -> tuple[str, int]:
    return f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)


def _digest_of_file(file: Path) -> tuple[str, int]:
    with file.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}", file.stat().st_size


def _add(archive: tarfile.TarFile, name: str, content: Path | bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = 0o755
    if isinstance(content, bytes):
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    else:
        entry.size = content.stat().st_size
        with content.open("rb") as file:
            archive.addfile(entry, file)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
