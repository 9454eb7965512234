"""Builds images from Containerfiles with buildah, whose storage lies in our own cache."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.local import paths, progress

# How pip reaches an index where the machine has an authority, an index or a proxy of its own. buildah
# mounts these files during the build, and the image contains none of them.
PIP_SETTINGS = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf"))
# Takes half the time of gzip, and less room.
COMPRESSION = ("--compression-format", "zstd", "--compression-level", "1")
# buildah keeps a cache there, whatever its storage root; here the cache vanishes with the mount namespace.
WITHOUT_VAR_LIB = ("sh", "-c", 'mount -t tmpfs tmpfs /var/lib && exec "$@"', "--")


@dataclass(frozen=True)
class Base:
    """The image to build on."""

    name: str
    archive: Path


@dataclass(frozen=True)
class Build:
    """An image to build from a Containerfile and a context."""

    name: str
    containerfile: Path
    context: Path


def write_archive(build: Build, base: Base, destination: Path, workplace: Path) -> None:
    """Build the image and write it as an archive.

    buildah takes steps whose inputs did not change from earlier builds.

    Args:
        build: What to build.
        base: Value of the build argument `BASE`.
        destination: Where the archive is written.
        workplace: An empty directory for what need not outlive the build.

    Raises:
        StepFailed: The build failed.
    """
    log = paths.logs() / f"image-{build.name.rpartition('/')[2].replace(':', '-')}.log"
    storage = paths.images() / "buildah"
    # buildah's records of its mounts are apart from its images, because the mounts end with the command.
    enclosed = (*progress.ENCLOSED, *WITHOUT_VAR_LIB)
    buildah: list[str | Path] = [*enclosed, "buildah", "--root", storage, "--runroot", workplace / "run"]
    settings = workplace / "containers.conf"
    # Otherwise buildah creates and locks a directory of the host for networks, which no build of ours has.
    settings.write_text(f'[network]\nnetwork_config_dir = "{workplace / "networks"}"\n')
    environment = {
        **os.environ,
        "BUILDAH_ISOLATION": "chroot",
        "CONTAINERS_CONF": str(settings),
        "TMPDIR": str(workplace),
    }

    def run(*command: str | Path) -> None:
        progress.run(f"buildah {command[0]} for {build.name}", [*buildah, *command], log=log, env=environment)

    with paths.locked(paths.images() / ".buildah.lock"):
        # A killed build leaves working containers.
        run("rm", "--all")
        run("pull", "--quiet", f"oci-archive:{base.archive}")
        run(*_bud(build, base, _mounts(PIP_SETTINGS)))
        run("push", "--quiet", *COMPRESSION, build.name, f"oci-archive:{destination}:{build.name}")


def _bud(build: Build, base: Base, mounts: list[str]) -> list[str | Path]:
    return [
        *("bud", "--layers", "--pull-never", *mounts),
        *("--build-arg", f"BASE={base.name}", "--tag", build.name),
        *("--file", build.containerfile, build.context),
    ]


def _mounts(files: Iterable[Path]) -> list[str]:
    return [f"--volume={file}:{file}:ro" for file in files if file.exists()]
