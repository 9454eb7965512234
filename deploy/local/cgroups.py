"""The cluster's control groups: one tree per node, in every hierarchy of the machine.

Works with cgroup v1, where each controller may be a hierarchy of its own, and with v2, where all share one.
"""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.local import paths
from deploy.local.errors import StepFailed

ROOT = f"session-storage-local{paths.CLUSTER_SUFFIX}"
# For the node's own processes: v2 allows none in a group that has groups below it.
SYSTEM = "system"
MOUNTS = Path("/proc/self/mountinfo")
# Processes that were killed leave their group a moment after they are gone.
REMOVAL_DEADLINE_SECONDS = 10
RETRY_SECONDS = 0.05
# What the kernel says of a group that ended while somebody looked at it.
_GONE = frozenset({errno.ENOENT, errno.ENODEV})


def hierarchies(mounts: str) -> tuple[Path, ...]:
    """Read from a mount table where control groups are mounted.

    Args:
        mounts: Content of `/proc/<pid>/mountinfo`; format in proc_pid_mountinfo(5).
    """
    found = []
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        if source.split()[0] in {"cgroup", "cgroup2"}:
            found.append(Path(mount.split()[4]))
    return tuple(dict.fromkeys(found))


def of_node(node: str) -> tuple[Path, ...]:
    """Say where a node's group is in every hierarchy; in each, `SYSTEM` is for the node's own processes."""
    return tuple(hierarchy / ROOT / node for hierarchy in hierarchies(MOUNTS.read_text()))


def ensure(node: str) -> None:
    """Make a node's groups."""
    for hierarchy in hierarchies(MOUNTS.read_text()):
        _ensure(hierarchy, node)


def processes() -> set[int]:
    """Find all processes in the cluster's groups, containers included."""
    return {pid for tree in _trees() for group in _groups(tree) for pid in _members(group)}


def remove(*below: str) -> None:
    """Remove the groups of the cluster, or of the node named; their processes have been killed.

    Raises:
        StepFailed: A group stayed busy.
    """
    deadline = time.monotonic() + REMOVAL_DEADLINE_SECONDS
    for tree in _trees(*below):
        while busy := _remove(tree):
            if time.monotonic() > deadline:
                raise StepFailed(f"the control group {busy} could not be removed: processes are still in it")
            time.sleep(RETRY_SECONDS)


def _ensure(hierarchy: Path, node: str) -> None:
    parent = hierarchy
    for name in (ROOT, node, SYSTEM):
        group = parent / name
        group.mkdir(exist_ok=True)
        # v1: a new group has no CPUs and takes no process before it has.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (parent / setting).exists() and (hierarchy / "cpuset.cpus").exists():
                (group / setting).write_text((parent / setting).read_text())
        parent = group
    # The node's group is left out: v2 would allow no process in it then, and the node's first process starts there.
    for group in (hierarchy, hierarchy / ROOT):
        _delegate(group)


def _delegate(group: Path) -> None:
    """V2: let groups below this one have every controller that it has."""
    available = group / "cgroup.controllers"
    if available.exists():
        for controller in available.read_text().split():
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _trees(*below: str) -> Iterator[Path]:
    for hierarchy in hierarchies(MOUNTS.read_text()):
        if (tree := hierarchy.joinpath(ROOT, *below)).exists():
            yield tree


def _groups(tree: Path) -> list[Path]:
    """List a group and all below it, the leaves first; the walk passes over those that end meanwhile."""
    return [Path(directory) for directory, _, _ in os.walk(tree, topdown=False)]


def _members(group: Path) -> set[int]:
    try:
        return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return set()


def _remove(tree: Path) -> Path | None:
    """Remove a tree from its leaves and return the first group that is busy."""
    for group in _groups(tree):
        try:
            group.rmdir()
        except OSError as error:
            if error.errno == errno.EBUSY:
                return group
            if error.errno not in _GONE:
                raise
    return None
