"""The images on the nodes: imported once into a store, from which every new node starts with all of them.

The store is a containerd directory in the cache. A new node gets a copy of it made of hard links (image layers
are never written to), which costs neither time nor disk, whereas importing costs seconds per image and node.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from deploy.local import cgroups, node, nodeservices, paths, processes, progress
from deploy.local.errors import StepFailed
from deploy.local.node import Machine

# On a node's disk: which archives it has, by `identity`.
RECORD = "imported.json"
CONTAINERD = Path("lib/containerd")
# containerd first recovers the containers of its last run; seen: 20 s, after all their shims had been killed.
CONTAINERD_DEADLINE_SECONDS = 90
# An import takes 3 s where nothing else is going on.
COMMAND_DEADLINE_SECONDS = 180
STORE = "image-store"


def identity(archive: Path) -> str:
    """Return a text that differs between two builds of an archive."""
    status = archive.stat()
    return f"{archive.name} {status.st_size} {status.st_mtime_ns}"


def missing(archives: Iterable[Path], record: Iterable[str]) -> list[Path]:
    """Choose the archives that the record of a node does not have."""
    have = set(record)
    return [archive for archive in archives if identity(archive) not in have]


def ensure_store(archives: Iterable[Path], template: Machine, pause_image: str) -> Path:
    """Import what the store lacks, with a containerd that runs only meanwhile.

    Args:
        archives: OCI archives of all images.
        template: Any node of the cluster; the store uses its programs, its state directory and its logs.
        pause_image: The pause image in containerd's configuration.

    Returns:
        The store's disk.
    """
    disk = paths.images() / STORE
    if not missing(archives, read_record(disk)):
        return disk
    if not disk.exists():
        with paths.appearing(disk) as work:
            node.make_disk(work)
    machine = Machine(STORE, disk, template.programs, template.state, template.logs)
    containerd = machine.service("containerd", nodeservices.containerd_command(disk, pause_image))
    init = node.boot(machine)
    node.ensure_service(machine, containerd)
    try:
        ensure_images(machine, archives)
        _forget_replaced(machine)
        # After a crash of the machine, the record must not name images that the disk has lost.
        os.sync()
        write_record(disk, archives)
    finally:
        processes.kill([init])
        cgroups.remove(STORE)
    return disk


def copy_store(disk: Path, target: Path) -> None:
    """Give a new node's disk all images of the store."""
    source, destination = disk / CONTAINERD, target / CONTAINERD
    _run("copying the image store", ["cp", "--archive", "--link", f"{source}/.", str(destination)])
    # Databases are the only files that containerd changes in place.
    for database in source.glob("*/*.db"):
        copy = destination / database.relative_to(source)
        copy.unlink()
        shutil.copy2(database, copy)
    shutil.copy2(disk / RECORD, target / RECORD)


def ensure_images(machine: Machine, archives: Iterable[Path]) -> list[Path]:
    """Import into a running node what it lacks.

    Returns:
        What had to be imported.
    """
    wanted = missing(archives, read_record(machine.directory))
    await_containerd(machine)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda archive: load(machine, archive), wanted))
    return wanted


def load(machine: Machine, archive: Path) -> None:
    """Import one archive into a running node, whatever it has.

    Raises:
        StepFailed: containerd refused it.
    """
    what = f"{machine.name}: import of {archive}"
    try:
        with archive.open("rb") as content:
            _run(what, [*_ctr(machine), "images", "import", "--digests=false", "-"], content)
    except OSError as error:
        raise StepFailed(f"{what} failed: {error}") from error


def await_containerd(machine: Machine) -> None:
    """Wait until a node's containerd serves.

    Raises:
        StepFailed: It did not in time.
    """
    try:
        subprocess.run(
            [*_ctr(machine), "--connect-timeout", f"{CONTAINERD_DEADLINE_SECONDS}s", "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=CONTAINERD_DEADLINE_SECONDS,
        )
    except subprocess.SubprocessError as error:
        log = machine.service("containerd", ()).log
        raise progress.failure(f"{machine.name}: waiting for containerd", error, log) from error


def read_record(disk: Path) -> list[str]:
    """Read which archives a node's disk has; none if the disk is new."""
    file = disk / RECORD
    record: list[str] = json.loads(file.read_text()) if file.exists() else []
    return record


def write_record(disk: Path, archives: Iterable[Path]) -> None:
    """Note which archives a node's disk has."""
    (disk / RECORD).write_text(json.dumps([identity(archive) for archive in archives], indent=2))


def replaced(listing: str) -> list[str]:
    """Choose the images that only earlier archives had.

    containerd's CRI plugin gives each image a second name, made of its digest, which stays when another image takes
    over the proper name.

    Args:
        listing: Output of `ctr images ls`: a header, then name, media type, digest and more per line.
    """
    digests = {name: digest for name, _, digest, *_ in map(str.split, listing.splitlines()[1:])}
    named = {digest for name, digest in digests.items() if not name.startswith("sha256:")}
    return [name for name, digest in digests.items() if digest not in named]


def _forget_replaced(machine: Machine) -> None:
    what = "removing replaced images"
    if names := replaced(_run(what, [*_ctr(machine), "images", "ls"])):
        # `--sync` frees their layers before it returns.
        _run(what, [*_ctr(machine), "images", "rm", "--sync", *names])


def _run(what: str, command: Sequence[str], stdin: IO[bytes] | int = subprocess.DEVNULL) -> str:
    try:
        done = subprocess.run(command, stdin=stdin, capture_output=True, check=True, timeout=COMMAND_DEADLINE_SECONDS)
    except subprocess.SubprocessError as error:
        reason = getattr(error, "stderr", None) or b""
        raise StepFailed(f"{what} failed: {error}\n{reason.decode().strip()}") from error
    return done.stdout.decode()


def _ctr(machine: Machine) -> tuple[str, ...]:
    pid = node.init_pid(machine)
    if pid is None:
        raise StepFailed(f"{machine.name} does not run; start the cluster first")
    return (*node.enter(pid), "ctr", "--namespace", "k8s.io")
