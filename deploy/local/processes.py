"""The processes of the running cluster: started as daemons, found again and ended by a mark.

The mark is a variable in their environment, which the kernel keeps and children inherit, so that the cluster
recognises its processes whatever happens to their parents. There are no pid files to go stale.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.local import paths, progress
from deploy.local.errors import StepFailed

# Its value is the state directory of the cluster, because a machine can have several clusters.
CLUSTER_MARK = "SESSION_STORAGE_LOCAL_CLUSTER"
SERVICE_MARK = "SESSION_STORAGE_LOCAL_SERVICE"
# The kernel ends a process within moments, unless the process hangs in a device.
KILL_DEADLINE_SECONDS = 30
PROC = Path("/proc")
# An exec takes a fraction of a millisecond, and on a busy machine a few time slices.
EXEC_LOOKS = 20
EXEC_LOOK_SECONDS = 0.001


@dataclass(frozen=True)
class Process:
    """A process that carries the mark.

    Attributes:
        pid: Its id in our namespace.
        service: The service it is, or was started by.
        command: Its arguments.
    """

    pid: int
    service: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A process that should run.

    Attributes:
        name: `node2/kubelet`, or a plain name for one outside the nodes.
        command: What to run.
        log: Where its output goes.
    """

    name: str
    command: tuple[str, ...]
    log: Path

    def is_among(self, processes: Iterable[Process]) -> bool:
        """Tell whether it runs with exactly this command, or a command that ends with this one is just starting it."""
        return any(
            process.service == self.name and process.command[-len(self.command) :] == self.command
            for process in processes
        )


def marked(state: Path) -> list[Process]:
    """Find all live processes of the cluster that keeps its state in `state`."""
    return [process for cluster, process in _all_marked() if cluster == str(state)]


def foreign_clusters(state: Path, services: Container[str]) -> set[str]:
    """Name the state directories of clusters other than ours in which one of the services runs."""
    return {cluster for cluster, process in _all_marked() if cluster != str(state) and process.service in services}


def start(service: Service, state: Path, enter: Sequence[str] = ()) -> None:
    """Start a service that outlives us, in a session of its own.

    Args:
        service: What to start; the caller has seen that it doesn't run.
        state: State directory of the cluster, for the mark.
        enter: Command prefix that enters the place where it runs.

    Raises:
        StepFailed: It could not be started.
    """
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        CLUSTER_MARK: str(state),
        SERVICE_MARK: service.name,
        paths.CLUSTER_VARIABLE: str(paths.CLUSTER_NUMBER),
    }
    service.log.parent.mkdir(parents=True, exist_ok=True)
    with service.log.open("ab") as log:
        try:
            subprocess.run(
                [*enter, "setsid", "--fork", *service.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=paths.REPOSITORY,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise progress.failure(f"starting {service.name}", error, service.log) from error


def ensure(service: Service, state: Path) -> None:
    """Start a service outside the nodes, unless it runs."""
    found = marked(state)
    if not service.is_among(found):
        # Another checkout has started the one that runs.
        kill(process.pid for process in found if process.service == service.name)
        start(service, state)


def started_at(pid: int) -> datetime:
    """Tell when a process was started.

    Source: proc_pid_stat(5), field 22 in clock ticks since boot; the name before it may hold spaces.
    """
    since_boot = int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    uptime = float((PROC / "uptime").read_text().split()[0])
    return datetime.now(UTC) - timedelta(seconds=uptime - since_boot)


def kill(pids: Iterable[int]) -> None:
    """End processes at once and return when they are gone.

    Raises:
        StepFailed: One of them did not go.
    """
    with ExitStack() as stack:
        waiting = select.poll()
        handles = set()
        for pid in pids:
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            stack.callback(os.close, handle)
            handles.add(handle)
            waiting.register(handle, select.POLLIN)
            _signal(handle)
        deadline = time.monotonic() + KILL_DEADLINE_SECONDS
        while handles:
            ended = waiting.poll(max(0, deadline - time.monotonic()) * 1000)
            if not ended:
                raise StepFailed(f"{len(handles)} processes of the cluster did not end in {KILL_DEADLINE_SECONDS} s")
            for handle, _ in ended:
                handles.discard(handle)
                waiting.unregister(handle)


def _signal(handle: int) -> None:
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return


def _all_marked() -> Iterator[tuple[str, Process]]:
    for directory in PROC.iterdir():
        if directory.name.isdigit():
            try:
                variables = parse_environment(_environment(directory))
                arguments = (directory / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended while we looked, or is not ours to see
            if cluster := variables.get(CLUSTER_MARK):
                command = tuple(os.fsdecode(argument) for argument in arguments.split(b"\0")[:-1])
                yield cluster, Process(int(directory.name), variables.get(SERVICE_MARK, ""), command)


def _environment(directory: Path) -> bytes:
    """Read a process's environment, which looks empty for the moment of an exec.

    A kernel thread or a zombie, whose environment is empty for good, has no executable. A program that got no
    environment at all costs some more looks, in vain.
    """
    for _ in range(EXEC_LOOKS):
        if block := (directory / "environ").read_bytes():
            return block
        (directory / "exe").readlink()
        time.sleep(EXEC_LOOK_SECONDS)
    return b""


def parse_environment(block: bytes) -> dict[str, str]:
    """Parse a process's environment as `/proc/<pid>/environ` shows it."""
    pairs = (os.fsdecode(entry).partition("=") for entry in block.split(b"\0"))
    return {name: value for name, separator, value in pairs if separator}
