"""Where everything that outlives one command is kept: one cache directory, outside the checkout.

Build products are keyed by name, version and a digest of their inputs, and appear under their
final name only when they are complete, so a process killed at any moment leaves nothing half
done that a later run would trust.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# The number of clusters among which topology.py divides its addresses.
CLUSTERS = 8
CLUSTER_VARIABLE = "SESSION_STORAGE_CLUSTER"


def cluster_number(environ: Mapping[str, str]) -> int:
    """Return the number of the cluster that the environment names, or else 0: a machine can have several at a time.

    Raises:
        SystemExit: SESSION_STORAGE_CLUSTER is none of the numbers; modules read it while they are imported, when
            nobody could catch an error of our own.
    """
    asked = environ.get(CLUSTER_VARIABLE) or "0"
    if asked not in map(str, range(CLUSTERS)):
        raise SystemExit(f"{CLUSTER_VARIABLE} must be a number from 0 to {CLUSTERS - 1}, and is {asked!r}")
    return int(asked)


CLUSTER_NUMBER = cluster_number(os.environ)
# Ends the names of what belongs to one cluster, so that no other has them; empty for the first.
CLUSTER_SUFFIX = f"-{CLUSTER_NUMBER}" if CLUSTER_NUMBER else ""


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the cache directory the environment asks for.

    Source: XDG Base Directory Specification, with a variable of our own before it.
    """
    if own := environ.get("SESSION_STORAGE_CACHE"):
        return Path(own).absolute()
    if xdg := environ.get("XDG_CACHE_HOME"):
        return Path(xdg).absolute() / "toolhive-session-storage"
    return Path(environ.get("HOME", "/root")) / ".cache" / "toolhive-session-storage"


def builds() -> Path:
    """Finished binaries and fetched sources, one directory per key."""
    return _directory("builds")


def images() -> Path:
    """OCI archives, and the storage of the image builder."""
    return _directory("images")


def go_cache() -> Path:
    """Go's build cache; only ever a speed-up, never needed once a binary is built."""
    return _directory("gocache")


def go_modules() -> Path:
    """Go's module cache: the sources that the builds are made of."""
    return _directory("gomodules")


def logs() -> Path:
    """Logs of builds; those of the running cluster lie in `state`."""
    return _directory("logs")


def state() -> Path:
    """All of the running cluster: kubeconfig, PKI, logs, process ids, node roots."""
    return _directory(f"state{CLUSTER_SUFFIX}")


def kubeconfig() -> Path:
    """The administrator's kubeconfig of the local cluster; exists while it is up."""
    return state() / "kubeconfig"


def is_local(environ: Mapping[str, str]) -> bool:
    """Tell whether an environment means the local cluster, and not another that KUBECONFIG names."""
    return Path(environ.get("KUBECONFIG") or kubeconfig()) == kubeconfig()


def digest(files: Iterable[Path], *settings: str) -> str:
    """Digest file names and contents and further settings into 12 hex digits.

    Directories are walked; the order of the arguments and of the walk does not matter. Only names
    relative to the repository count, so that all checkouts share one cache.
    """
    total = hashlib.sha256(repr(sorted(settings)).encode())
    for file in sorted(_walk(files)):
        name = file.relative_to(REPOSITORY) if file.is_relative_to(REPOSITORY) else file.name
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()[:12]


def once(destination: Path, fill: Callable[[Path], None]) -> Path:
    """Return `destination`; if it does not exist, `fill` makes it first, at the path that it gets.

    If another process is making it, wait for that process and return what it made.
    """
    if not destination.exists():
        with appearing(destination) as work:
            if not destination.exists():
                fill(work)
    return destination


@contextmanager
def appearing(destination: Path) -> Iterator[Path]:
    """Yield a path to make a file or a directory at, that becomes `destination` at the end.

    One process at a time fills a destination. What a killed process left is removed first.
    """
    work = destination.with_name(f".{destination.name}.partial")
    with locked(destination.with_name(f".{destination.name}.lock")):
        remove(work)
        try:
            yield work
            if work.is_dir():
                remove(destination)
            if work.exists():
                work.replace(destination)
        finally:
            remove(work)


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold an advisory lock that the kernel releases when this process ends, however it ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def remove(path: Path) -> None:
    """Remove a file or a tree, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _directory(name: str) -> Path:
    directory = cache_root() / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _walk(files: Iterable[Path]) -> Iterator[Path]:
    for file in files:
        if file.is_dir():
            yield from _walk(child for child in file.iterdir() if child.name != "__pycache__")
        else:
            yield file
