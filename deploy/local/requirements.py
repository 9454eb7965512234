"""Checks whether this machine can run the cluster; one message lists everything that is missing."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from deploy.local import cgroups, paths, processes
from deploy.local.errors import PrerequisiteMissing
from deploy.local.topology import BRIDGE, NODE_NETWORK, NODES, POD_NETWORK, SERVICE_NETWORK

ARCHITECTURES = {"x86_64", "aarch64"}
# Bits of `CapEff` in /proc/self/status. Source: capabilities(7), include/uapi/linux/capability.h.
CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
}
ROUTES = Path("/proc/net/route")
OURS = (NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK)


@dataclass(frozen=True)
class Facts:
    """What the cluster must know about a machine before it touches it.

    Attributes:
        system: `Linux`, or something else.
        architecture: As `uname -m` says it.
        is_root: Whether we are user 0.
        capabilities: Bits of the effective set.
        has_cgroups: Whether control groups are mounted where we may write.
        cache: Where the cluster would keep its files.
        cache_file_system: Type of the file system there.
        routes: Destinations that the host routes elsewhere than to our bridge.
        foreign_clusters: State directories of clusters of our number that run from other caches.
    """

    system: str
    architecture: str
    is_root: bool
    capabilities: int
    has_cgroups: bool
    cache: Path
    cache_file_system: str
    routes: tuple[IPv4Network, ...]
    foreign_clusters: frozenset[str]


def problems(facts: Facts) -> Iterator[str]:
    """Say what is missing, and what to do about it; yield nothing if the cluster can run."""
    if facts.system != "Linux":
        yield f"it needs Linux, and this is {facts.system}: use a Linux machine or virtual machine"
        return
    if facts.architecture not in ARCHITECTURES:
        yield f"it needs one of {', '.join(sorted(ARCHITECTURES))}, and this is {facts.architecture}"
    if not facts.is_root:
        yield "it needs root, for namespaces and control groups: run it with sudo"
    elif lacking := [name for name, bit in CAPABILITIES.items() if not facts.capabilities >> bit & 1]:
        yield f"it lacks {', '.join(lacking)}: in a container, start that with --privileged"
    elif not facts.has_cgroups:
        yield "it may not write to control groups: mount /sys/fs/cgroup; in a container, start that with --privileged"
    if facts.cache_file_system == "overlay":
        yield (
            f"{facts.cache} is on an overlay file system, on which container images cannot be mounted: "
            "set SESSION_STORAGE_CACHE to a directory on a disk or volume"
        )
    if taken := [str(route) for route in facts.routes if any(route.overlaps(ours) for ours in OURS)]:
        yield f"its addresses are in use: the host has routes to {', '.join(taken)}; remove them"
    for cluster in sorted(facts.foreign_clusters):
        yield f"another one runs with its files in {cluster}: {_how_to_stop(cluster)}"


def check() -> None:
    """Check this machine.

    Raises:
        PrerequisiteMissing: Something is missing; the message lists all of it.
    """
    found = list(problems(_facts()))
    if found:
        raise PrerequisiteMissing(
            "The local cluster cannot run here:\n"
            + "".join(f"  - {problem}\n" for problem in found)
            + "Or set KUBECONFIG to use a cluster that you have."
        )


def _facts() -> Facts:
    is_linux = platform.system() == "Linux"
    return Facts(
        system=platform.system(),
        architecture=platform.machine(),
        is_root=os.geteuid() == 0,
        capabilities=_capabilities() if is_linux else 0,
        has_cgroups=is_linux and _has_cgroups(),
        cache=paths.cache_root(),
        cache_file_system=_file_system(paths.cache_root()) if is_linux else "",
        routes=tuple(parse_routes(ROUTES.read_text())) if is_linux else (),
        foreign_clusters=_foreign_clusters() if is_linux else frozenset(),
    )


def check_for_removal() -> None:
    """Make sure that the cluster to remove is ours.

    Raises:
        PrerequisiteMissing: We aren't root, or the machine's one cluster is that of another cache.
    """
    if os.geteuid() != 0:
        raise PrerequisiteMissing("Only root can stop the local cluster: run it with sudo.")
    for cluster in sorted(_foreign_clusters()):
        raise PrerequisiteMissing(f"The cluster that runs keeps its files in {cluster}: {_how_to_stop(cluster)}.")


def _how_to_stop(cluster: str) -> str:
    number = f"{paths.CLUSTER_VARIABLE}={paths.CLUSTER_NUMBER} " if paths.CLUSTER_NUMBER else ""
    return f"stop it with {number}SESSION_STORAGE_CACHE={Path(cluster).parent} make cluster-down"


def _foreign_clusters() -> frozenset[str]:
    found = processes.foreign_clusters(paths.state(), {node.name for node in NODES})
    # Clusters of other numbers have other addresses and names.
    return frozenset(cluster for cluster in found if Path(cluster).name == paths.state().name)


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0


def _has_cgroups() -> bool:
    hierarchies = cgroups.hierarchies(cgroups.MOUNTS.read_text())
    return bool(hierarchies) and all(os.access(hierarchy, os.W_OK) for hierarchy in hierarchies)


def _file_system(path: Path) -> str:
    """Find the type of the file system that a path is on, or will be."""
    while not path.exists():
        path = path.parent
    found = subprocess.run(
        ["stat", "--file-system", "--format=%T", path], capture_output=True, text=True, check=True
    ).stdout.strip()
    return "overlay" if found == "overlayfs" else found


def parse_routes(table: str) -> Iterator[IPv4Network]:
    """Read the destinations of all routes that are neither the default nor by our bridge.

    Args:
        table: Content of `/proc/net/route`, whose numbers are hexadecimal and in the order of the machine's bytes.
    """
    for line in table.splitlines()[1:]:
        interface, destination, *_, mask = line.split()[:8]
        network = IPv4Network((_address(destination), str(_address(mask))))
        if interface != BRIDGE and network.prefixlen:
            yield network


def _address(number: str) -> IPv4Address:
    return IPv4Address(int(number, 16).to_bytes(4, sys.byteorder))
