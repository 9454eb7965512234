"""Finds and signals processes of the local cluster from the host; it finds a container's by its control group."""

from __future__ import annotations

import itertools
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
"""The command name of a Valkey server; a shell starts it, so it is not the container's first process."""


class NoProcess(DemoError):
    """The process that a fault should strike does not run."""


def of_pod(pod: Object) -> int:
    """Find the main process of a pod's only container.

    Raises:
        NoProcess: It does not run.
    """
    if (found := main_process(_statuses(pod))) is None:
        raise NoProcess(f"pod {pod['metadata']['name']} has no process")
    return found


def server_of(pod: Object) -> int | None:
    """Find the Valkey server in a pod; None while it does not run."""
    return next(servers_in(_statuses(pod)), None)


def _statuses(pod: Object) -> dict[int, str]:
    container = container_id(pod)
    return {pid: _status(pid) for pid in _members(pod["spec"]["nodeName"], container)} if container else {}


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
    """Count the restarts of a pod's containers."""
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))


def main_process(statuses: Mapping[int, str]) -> int | None:
    """Choose a container's Valkey server, or else its first process; None if there is neither.

    A container's control group also holds its probes, and everything else that is executed in the container.

    Args:
        statuses: Content of `/proc/<pid>/status` by process ID; format in proc_pid_status(5).
    """
    started = (pid for pid, found in _fields(statuses) if found.get("NSpid", "").split()[-1:] == ["1"])
    return next(itertools.chain(servers_in(statuses), started), None)


def servers_in(statuses: Mapping[int, str]) -> Iterator[int]:
    """List the Valkey servers among processes; for the arguments see `main_process`."""
    return (pid for pid, found in _fields(statuses) if found.get("Name") == SERVER)


def _fields(statuses: Mapping[int, str]) -> Iterator[tuple[int, dict[str, str]]]:
    for pid, status in statuses.items():
        yield pid, dict(line.partition(":\t")[::2] for line in status.splitlines())


def kill(pid: int) -> None:
    """Send a process SIGKILL."""
    os.kill(pid, signal.SIGKILL)


def terminate(pid: int) -> None:
    """Send a process SIGTERM."""
    os.kill(pid, signal.SIGTERM)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a process until the block ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def is_running(pid: int) -> bool:
    """Tell whether a process with this ID exists."""
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
