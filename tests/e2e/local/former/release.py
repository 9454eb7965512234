"""The release from which users upgrade: its chart, and the image of its source, out of an archive beside this module.

The archive holds what a release consists of, and not this repository's history, which a shallow clone lacks. To take a
later commit:

    git archive <commit> webhook reconciler certs shared requirements/runtime.lock deploy/Containerfile deploy/chart \
        .containerignore | xz -9e > tests/e2e/local/former/<commit>.tar.xz
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Final

from deploy.local import images, paths
from deploy.local.images import BuiltImage

COMMIT: Final = "a43a342"
IMAGE: Final = "localhost/toolhive-session-storage:former"
_ARCHIVE: Final = Path(__file__).parent / f"{COMMIT}.tar.xz"
_SOURCES: Final = ("webhook", "reconciler", "certs", "shared", "requirements/runtime.lock", ".containerignore")


def chart() -> Path:
    """Return the directory of its chart."""
    return _source() / "deploy" / "chart"


def archive() -> Path:
    """Return the archive of its image, made first if the cache lacks it; pip fetches what its lock file pins.

    Raises:
        StepFailed: It could not be made.
    """
    source = _source()
    return images.archive_of(BuiltImage([IMAGE], source / "deploy" / "Containerfile", source, _SOURCES))


def _source() -> Path:
    return paths.once(paths.builds() / f"former-{paths.digest([_ARCHIVE])}", _unpack)


def _unpack(destination: Path) -> None:
    with tarfile.open(_ARCHIVE) as tar:
        tar.extractall(destination, filter="data")
