"""A node as the host sees it: a set of namespaces held by one process, and a directory that is its disk.

Namespaces of mounts, processes, network, host name and control groups belong to the node's first process. When
that ends, the kernel ends all others in them, containers included, and takes mounts and network with them.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from deploy.local import cgroups, processes, progress
from deploy.local.processes import Process, Service

INIT = Path(__file__).with_name("node-init.sh")
INIT_COMMAND = ("sleep", "infinity")
# It mounts a dozen file systems; seen: 30 ms.
BOOT_DEADLINE_SECONDS = 15
BOOT_RETRY_SECONDS = 0.02
DIRECTORIES = ("etc", "lib/containerd", "lib/kubelet", "log", "run", "tmp")

# What the node's own processes see.
INSIDE = Path("/run/node")
PROGRAMS = Path("/run/programs")

# Joins control groups (first argument) and becomes the command (the others).
JOIN = 'for group in $1; do echo 0 >"$group/cgroup.procs"; done; shift; exec "$@"'


@dataclass(frozen=True)
class Machine:
    """Where a node lives on the host.

    Attributes:
        name: Its host name.
        directory: Its disk.
        programs: Directory of the Kubernetes binary.
        state: State directory of the cluster it belongs to.
        logs: Where its processes' output goes.
    """

    name: str
    directory: Path
    programs: Path
    state: Path
    logs: Path

    @property
    def init(self) -> Service:
        """The parent of its first process; each of the two ends with the other."""
        # An unmount on the host reaches the node; no mount of the node reaches the host.
        namespaces = ("--mount", "--propagation=slave", "--uts", "--net", "--pid", "--fork", "--kill-child")
        groups = cgroups.of_node(self.name)
        # A namespace of control groups begins at the group of the process that makes it.
        in_own_groups = (*_joining(groups), "unshare", "--cgroup")
        script = ("sh", str(INIT), self.name, str(self.directory), str(self.programs), _list(groups))
        return Service(self.name, ("unshare", *namespaces, *in_own_groups, *script), self.logs / f"{self.name}.log")

    def service(self, name: str, command: tuple[str, ...]) -> Service:
        """Describe one of its services."""
        return Service(f"{self.name}/{name}", command, self.logs / f"{self.name}-{name}.log")

    def owns(self, process: Process) -> bool:
        """Tell whether a process was started for this node."""
        return process.service.split("/")[0] == self.name


def make_disk(directory: Path) -> None:
    """Make the directory of a new node."""
    for name in DIRECTORIES:
        (directory / name).mkdir(parents=True)
    # Pods have no way out, so there is no resolver to ask for names outside the cluster.
    (directory / "etc" / "resolv.conf").write_text("")
    (directory / "tmp").chmod(0o1777)


def boot(machine: Machine) -> int:
    """Start a node's first process if it doesn't run, and return its process id.

    Raises:
        StepFailed: The node was not ready in time.
    """
    found = processes.marked(machine.state)
    if not machine.init.is_among(found):
        processes.kill(process.pid for process in found if machine.owns(process))
        # The groups of containers that died with the node would hold up its kubelet for seconds each.
        cgroups.remove(machine.name)
        cgroups.ensure(machine.name)
        processes.start(machine.init, machine.state, _in_system_group(machine))
    deadline = time.monotonic() + BOOT_DEADLINE_SECONDS
    while (pid := init_pid(machine)) is None:
        if time.monotonic() > deadline:
            raise progress.failure(f"booting {machine.name}", "it was not ready in time", machine.init.log)
        time.sleep(BOOT_RETRY_SECONDS)
    return pid


def init_pid(machine: Machine) -> int | None:
    """Find the process that holds a node's namespaces, once the node is set up."""
    for process in processes.marked(machine.state):
        if process.service == machine.name and process.command == INIT_COMMAND:
            return process.pid
    return None


def ensure_service(machine: Machine, service: Service) -> bool:
    """Start a service of a booted node unless it runs as it should.

    Returns:
        Whether it had to be started.
    """
    found = processes.marked(machine.state)
    if service.is_among(found):
        return False
    # The same program with an older command line; not its children, such as the shims of running containers.
    processes.kill(
        process.pid
        for process in found
        if process.service == service.name and process.command[:1] == service.command[:1]
    )
    pid = boot(machine)
    processes.start(service, machine.state, (*_in_system_group(machine), *enter(pid)))
    return True


def enter(pid: int) -> tuple[str, ...]:
    """Command prefix that enters the namespaces of the node whose first process is `pid`."""
    return ("nsenter", f"--target={pid}", "--mount", "--uts", "--net", "--pid", "--cgroup", "--")


def _in_system_group(machine: Machine) -> tuple[str, ...]:
    return _joining(tuple(group / cgroups.SYSTEM for group in cgroups.of_node(machine.name)))


def _joining(groups: tuple[Path, ...]) -> tuple[str, ...]:
    return ("sh", "-c", JOIN, "join", _list(groups))


def _list(groups: tuple[Path, ...]) -> str:
    return " ".join(map(str, groups))
