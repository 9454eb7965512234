"""Runs modules in the unpacked product image, with the same Python and the same libraries as in a pod."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jsonpatch
import jsonpointer

from deploy.local import images

if TYPE_CHECKING:
    from collections.abc import Iterable

_PYTHON: Final = "/opt/venv/bin/python"
_HOME: Final = "/opt/session-storage"
_SITE: Final = "site"
_CHECKOUT: Final = Path(__file__).parents[2]
_ENTER: Final = f"""set -e
mkdir -p "$1$3"
mount --bind /proc "$1/proc"
mount --bind "$2" "$1{_HOME}/tests"
mount --bind "$3" "$1$3"
export PYTHONPATH="{_HOME}:$3/{_SITE}" PYTHONDONTWRITEBYTECODE=1
exec chroot "$1" {_PYTHON} -m "$4" "$3"
"""

_TELL: Final = """
import platform, sys
from importlib import metadata
libraries = ", ".join(f"{name} {metadata.version(name)}" for name in sys.argv[1:])
print(f"{platform.python_version()}, {platform.python_compiler()}; {libraries}")
"""


_ARCHIVE: Final = "from deploy.local import images; print(images.archive(images.PRODUCT))"
"""Prints the path of the image; another checkout runs it with its own code, which knows how that image is built."""


def unpack(root: Path, checkout: Path | None = None) -> None:
    """Unpack the image, and build it first if the cache lacks it.

    The image has no whiteout files (OCI image-spec, `layer.md`), so extracting one layer over the other is enough.

    Args:
        root: Directory to create and unpack into.
        checkout: Checkout of this project whose image to unpack; this one by default.
    """
    with tarfile.open(images.archive(images.PRODUCT) if checkout is None else _archive_of(checkout)) as archive:

        def blob(described: dict[str, str]) -> bytes:
            return _read(archive, f"blobs/{described['digest'].replace(':', '/')}")

        index = json.loads(_read(archive, "index.json"))
        root.mkdir()
        for layer in json.loads(blob(index["manifests"][0]))["layers"]:
            compression = ["--zstd"] * layer["mediaType"].endswith("+zstd")
            subprocess.run(["tar", "--extract", "--directory", root, *compression], input=blob(layer), check=True)
    for place in (f"{_HOME}/tests", "/proc"):
        (root / place.removeprefix("/")).mkdir(exist_ok=True)


def command(root: Path, module: str, directory: Path, checkout: Path = _CHECKOUT) -> list[str | Path]:
    """Return the command that runs a module in the image; it needs root.

    The command replaces itself with the module's process, so both have the same process ID.

    Args:
        root: Directory with the unpacked image.
        module: Module of the product or of the tests; its only argument is the path of `directory`.
        directory: Directory of the module's files; it has the same path in the image. This function copies the
            libraries into it that the tests need and the image lacks.
        checkout: Checkout whose tests the image sees; it must be the one that the image was built from.
    """
    site = directory / _SITE
    site.mkdir(exist_ok=True)
    for needed in (jsonpatch, jsonpointer):
        shutil.copy(inspect.getfile(needed), site)
    return ["unshare", "--mount", "--", "sh", "-c", _ENTER, "--", root, checkout / "tests", directory, module]


def python_of(root: Path, libraries: Iterable[str]) -> str:
    """Describe the image's Python: its version, its compiler, and the versions of the named libraries."""
    command = ["chroot", str(root), _PYTHON, "-c", _TELL, *libraries]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return told.stdout.strip()


def _archive_of(checkout: Path) -> str:
    told = subprocess.run([sys.executable, "-c", _ARCHIVE], cwd=checkout, stdout=subprocess.PIPE, text=True, check=True)
    return told.stdout.splitlines()[-1]


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found is not None, name
    return found.read()
