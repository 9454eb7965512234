"""Processes of containers on the local cluster, as the machine sees them: found by control group, and signalled."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import DemoError
from deploy.local import cgroups, paths, processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deploy.demo.kube import Object

PROC: Final = Path("/proc")
SERVER: Final = "valkey-server"
"""A shell that lets it stop later has started it."""


class NoProcess(DemoError):
    """A process that a fault is about does not run."""


def of_pod(pod: Object) -> int:
    """Find the process that a pod's only container is there for.

    Raises:
        NoProcess: It does not run.
    """
    container = container_id(pod)
    found = main({pid: _status(pid) for pid in _members(pod["spec"]["nodeName"], container)}) if container else None
    if found is None:
        raise NoProcess(f"pod {pod['metadata']['name']} has no process")
    return found


def of_service(name: str) -> int:
    """Find a process of the cluster itself, such as `node1/kube-apiserver`.

    Raises:
        NoProcess: It does not run.
    """
    for process in processes.marked(paths.state()):
        if process.service == name:
            return process.pid
    raise NoProcess(f"{name} does not run")


def container_id(pod: Object) -> str:
    """Read the id of the container that runs in a pod; empty if none does."""
    statuses = pod["status"].get("containerStatuses", [])
    running = (status["containerID"] for status in statuses if "running" in status["state"])
    return next(running, "").rpartition("/")[2]


def restarts(pod: Object) -> int:
    """Count how often a pod's container was started again."""
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))


def main(statuses: Mapping[int, str]) -> int | None:
    """Choose the process that a container is there for: the server, or what the container was started with.

    Probes and whatever else is executed in a container are in its control group too.

    Args:
        statuses: Content of `/proc/<pid>/status` by process id; format in proc_pid_status(5).
    """
    fields = {pid: dict(line.partition(":\t")[::2] for line in status.splitlines()) for pid, status in statuses.items()}
    servers = [pid for pid, found in fields.items() if found.get("Name") == SERVER]
    started = [pid for pid, found in fields.items() if found.get("NSpid", "").split()[-1:] == ["1"]]
    return next(iter(servers + started), None)


def kill(pid: int) -> None:
    """End a process that cannot do anything about it."""
    os.kill(pid, signal.SIGKILL)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process where it is, and let it go on at the end, if it is still there."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def is_running(pid: int) -> bool:
    """Tell whether there is such a process."""
    return (PROC / str(pid)).exists()


def _members(node: str, container: str) -> Iterable[int]:
    for hierarchy in cgroups.of_node(node):
        for group in hierarchy.glob(f"kubepods/**/{container}"):
            return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    return []


def _status(pid: int) -> str:
    try:
        return (PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # a probe that has ended meanwhile
