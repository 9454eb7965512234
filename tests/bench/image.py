"""The product's image, unpacked: what runs in it has the Python and the libraries of a pod, and no others."""

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
"""Prints where the image is; another checkout is asked in its own words."""


def unpack(root: Path, checkout: Path | None = None) -> None:
    """Unpack the image, made first if the cache lacks it; its layers take nothing away (OCI image-spec, `layer.md`).

    Args:
        root: Where to.
        checkout: Of this project, whose image it is to be; this one by default.
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
    """Say how a module is run in the image by the very process that runs this; it takes a root user.

    Args:
        root: Where the image is unpacked.
        module: Of the product or of the tests; is given the path of the directory as its only argument.
        directory: Of its files, which has the same path in there; what the tests need beyond the image's libraries is
            put there.
        checkout: Whose tests are there; those that fit the image.
    """
    site = directory / _SITE
    site.mkdir(exist_ok=True)
    for needed in (jsonpatch, jsonpointer):
        shutil.copy(inspect.getfile(needed), site)
    return ["unshare", "--mount", "--", "sh", "-c", _ENTER, "--", root, checkout / "tests", directory, module]


def python_of(root: Path, libraries: Iterable[str]) -> str:
    """Say what Python is in there, what compiled it, and which versions of some libraries."""
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
