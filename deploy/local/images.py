"""The images of the local cluster as OCI archives in the cache, each made once per content.

An archive's name holds a digest of what it is made of, so a change makes a new archive and
nothing else. There are three kinds: Debian packages unpacked, one static program, a Containerfile.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deploy.local import binaries, containerfile, helm, oci, paths, progress
from deploy.local.debian import RootFilesystem
from deploy.local.oci import Process
from deploy.local.paths import REPOSITORY

VALKEY = "localhost/valkey:9.1"
PYTHON = "localhost/python:3.13"
PAUSE = "localhost/pause:v1"
COREDNS = f"localhost/coredns:{binaries.PROGRAMS['coredns'].version}"
LOCAL_PATH_PROVISIONER = f"localhost/local-path-provisioner:{binaries.PROGRAMS['local-path-provisioner'].version}"
# The pods that make and remove a volume's directory need a root user and a shell, no more. The image has content of its
# own: what a kubelet has pulled with credentials, it gives to nobody without them, whatever its name.
LOCAL_PATH_HELPER = "localhost/local-path-helper:v2"
TOOLHIVE_OPERATOR = f"localhost/toolhive-operator:{binaries.TOOLHIVE_VERSION}"
TOOLHIVE_PROXYRUNNER = f"localhost/toolhive-proxyrunner:{binaries.TOOLHIVE_VERSION}"
TOOLHIVE_VMCP = f"localhost/toolhive-vmcp:{binaries.TOOLHIVE_VERSION}"
# Not among `images()`: only who asks for pods' processor time has it (`metrics`).
METRICS_SERVER = f"localhost/metrics-server:{binaries.PROGRAMS['metrics-server'].version}"
MCP_DEMO = "localhost/mcp-demo:dev"
CHAOS_WRITER = "localhost/chaos-writer:v1"
PRODUCT = "localhost/toolhive-session-storage:dev"
# What the private registry of a profile has: each under its own tag, and under a second one, to which tests update.
PULLED = (PRODUCT, VALKEY)
SECOND_TAG = "-again"

ARCHIVES_KEPT = 3
SEARCH_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
MCP_DEMO_SOURCE = REPOSITORY / "deploy" / "local" / "mcp-demo"


class Image(Protocol):
    """One image, whatever it is made of."""

    @property
    def names(self) -> Sequence[str]:
        """All names it goes by in a cluster."""

    @property
    def key(self) -> str:
        """A digest of all that determines its content."""

    def write(self, destination: Path, workplace: Path) -> None:
        """Write it as an archive; `workplace` is an empty directory for temporary files."""


@dataclass(frozen=True)
class DebianImage:
    """Packages of Debian, unpacked."""

    names: Sequence[str]
    root: RootFilesystem

    @property
    def key(self) -> str:
        """A digest of the recipe; the image has the packages of the day on which it is made."""
        return paths.digest([Path(oci.__file__)], repr(self.root))

    def write(self, destination: Path, workplace: Path) -> None:
        """Write the archive."""
        layer = workplace / "layer.tar"
        self.root.write(layer)
        oci.write_archive(destination, self.names, layer, Process(env=SEARCH_PATH))


@dataclass(frozen=True)
class StaticImage:
    """One static program, and a directory for temporary files, which some programs need."""

    names: Sequence[str]
    program: str

    @property
    def key(self) -> str:
        """A digest of what the program is built from."""
        built = binaries.path(binaries.PROGRAMS[self.program])
        return paths.digest([Path(oci.__file__)], built.parent.name)

    def write(self, destination: Path, workplace: Path) -> None:
        """Write the archive, building the program first if the cache lacks it."""
        layer = workplace / "layer.tar"
        inside = f"usr/bin/{self.program}"
        oci.write_layer(layer, {inside: binaries.binary(self.program)}, {"tmp": 0o1777})
        oci.write_archive(destination, self.names, layer, Process([f"/{inside}"], SEARCH_PATH))


@dataclass(frozen=True)
class BuiltImage:
    """An image that a Containerfile describes, on our own Python image."""

    names: Sequence[str]
    containerfile: Path
    context: Path
    sources: Sequence[str]

    @property
    def key(self) -> str:
        """A digest of the sources and of the base."""
        sources = [self.containerfile, *(self.context / source for source in self.sources)]
        return paths.digest(sources, _archive_path(images()[PYTHON]).name)

    def write(self, destination: Path, workplace: Path) -> None:
        """Write the archive, making the base first if the cache lacks it."""
        build = containerfile.Build(self.names[0], self.containerfile, self.context)
        base = containerfile.Base(PYTHON, archive(PYTHON))
        containerfile.write_archive(build, base, destination, workplace)


def images() -> Mapping[str, Image]:
    """Return every image by each of its names."""
    # util-linux is in Valkey's own image too, as in each that is made from Debian.
    valkey = RootFilesystem("sid", ("valkey-server", "valkey-tools", "util-linux"))
    python = RootFilesystem(
        "trixie",
        ("python3", "python3-venv", "ca-certificates", "tzdata"),
        (
            'ln -s python3 "$1/usr/bin/python"',
            'cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"',
            'chroot "$1" python3 -m compileall -q /usr/lib/python3.13',
        ),
    )
    product = ("webhook", "reconciler", "certs", "shared", "requirements/runtime.lock", ".containerignore")
    made: list[Image] = [
        DebianImage([VALKEY], valkey),
        DebianImage([LOCAL_PATH_HELPER], RootFilesystem("trixie", ("dash",))),
        DebianImage([PYTHON], python),
        StaticImage([PAUSE], "pause"),
        StaticImage([COREDNS], "coredns"),
        StaticImage([LOCAL_PATH_PROVISIONER], "local-path-provisioner"),
        StaticImage([TOOLHIVE_OPERATOR], "thv-operator"),
        StaticImage([TOOLHIVE_PROXYRUNNER], "thv-proxyrunner"),
        StaticImage([TOOLHIVE_VMCP], "vmcp"),
        StaticImage([CHAOS_WRITER], "chaos-writer"),
        BuiltImage(
            [MCP_DEMO],
            MCP_DEMO_SOURCE / "Containerfile",
            MCP_DEMO_SOURCE,
            ["server.py", "requirements.lock"],
        ),
        BuiltImage([PRODUCT], REPOSITORY / "deploy" / "Containerfile", REPOSITORY, product),
    ]
    return {name: image for image in made for name in image.names}


def archive(name: str) -> Path:
    """Return the archive of the image `name`, made first if the cache lacks it.

    Raises:
        StepFailed: It could not be made.
    """
    return archive_of(images()[name])


def archive_of(image: Image) -> Path:
    """Return the archive of any image, made first if the cache lacks it.

    Raises:
        StepFailed: It could not be made.
    """
    destination = _archive_path(image)
    with paths.locked(paths.images() / f".{_stem(image)}.lock"):
        if not destination.exists():
            _make(image, destination)
    return destination


def build_all(*, has_vmcp: bool = True) -> list[Path]:
    """Make all programs and images that are missing, side by side, and return all archives.

    Args:
        has_vmcp: Whether to make ToolHive's vmcp too, which only VirtualMCPServers need.

    Raises:
        StepFailed: One could not be made.
    """
    wanted = {name: image for name, image in images().items() if has_vmcp or name != TOOLHIVE_VMCP}
    static = {name: image.program for name, image in wanted.items() if isinstance(image, StaticImage)}
    needed = {"kubernetes", *helm.programs(platform.machine()), *static.values()}
    programs = [program for name, program in binaries.PROGRAMS.items() if name in needed]
    with ThreadPoolExecutor() as pool:
        built = pool.submit(binaries.build, programs)
        archives = list(pool.map(archive, (name for name in wanted if name not in static)))
        built.result()
        fetched = pool.submit(helm.helm)
        archives += pool.map(archive, static)
        fetched.result()
    return list(dict.fromkeys(archives))


def _archive_path(image: Image) -> Path:
    return paths.images() / f"{_stem(image)}-{image.key}.tar"


def _stem(image: Image) -> str:
    return image.names[0].rpartition("/")[2].replace(":", "-")


def _make(image: Image, destination: Path) -> None:
    workplace = paths.images() / f".{_stem(image)}.work"
    progress.step(f"making image {image.names[0]}")
    # A killed build leaves its workplace.
    paths.remove(workplace)
    workplace.mkdir()
    try:
        image.write(workplace / destination.name, workplace)
        (workplace / destination.name).replace(destination)
    finally:
        paths.remove(workplace)
    for old in superseded(paths.images().glob(f"{_stem(image)}-*.tar")):
        old.unlink()
    progress.step(f"image {image.names[0]} is made")


def superseded(archives: Iterable[Path]) -> list[Path]:
    """Choose all but the newest few of one image's archives; other checkouts may use those."""
    return sorted(archives, key=lambda archive: archive.stat().st_mtime)[:-ARCHIVES_KEPT]
