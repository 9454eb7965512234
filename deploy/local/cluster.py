"""Brings the cluster up, takes it down, and says how it is.

`up` looks at each part and makes what is missing, in an order that is right for a machine with nothing as well
as for one on which an earlier `up` was killed half-way or a process of the cluster has died. `down` knows
processes by their mark and control group, and everything else by fixed names, so that it needs no memory of what
was made.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from deploy.local import (
    addons,
    api,
    audit,
    cgroups,
    containers,
    controlplane,
    disks,
    images,
    network,
    node,
    nodeservices,
    packages,
    paths,
    pki,
    processes,
    progress,
    readiness,
    requirements,
)
from deploy.local.errors import PrerequisiteMissing, StepFailed
from deploy.local.home import Cluster
from deploy.local.node import Machine
from deploy.local.nodeservices import ProxyMode
from deploy.local.processes import Service
from deploy.local.profile import ORDINARY, Profile, without_ipv6
from deploy.local.topology import CONTROL_PLANE_NODE, NODES, Node

# Each round ends all processes that it finds; one of them may have started others meanwhile.
KILL_ROUNDS = 10


def up(
    cluster: Cluster, *, has_vmcp: bool = True, mode: ProxyMode = ProxyMode.IPTABLES, profile: Profile = ORDINARY
) -> None:
    """Make the cluster run, with everything on it, and return when it does.

    Args:
        cluster: The cluster.
        has_vmcp: Whether VirtualMCPServers can run on it; those that run already go on in any case.
        mode: How kube-proxy works; one that works otherwise starts again.
        profile: What kind of cluster it is; on a kernel without IPv6, it becomes one that needs none.

    Raises:
        PrerequisiteMissing: This machine can't run it, or it runs with another profile.
        StepFailed: Something went wrong on the way.
    """
    requirements.check()
    packages.install_missing(profile.packages)
    profile = fitting(profile)
    archives = images.build_all(has_vmcp=has_vmcp)
    with _locked():
        _ensure_disks(cluster, archives, profile)
        commands = _boot(cluster, mode)
        client = _start_control_plane(cluster)
        _start_nodes(cluster, commands)
        tools = addons.Tools(cluster.kubeconfig, cluster.state / "home", cluster.logs)
        with ThreadPoolExecutor() as pool:
            for done in (
                pool.submit(_load_missing, cluster, archives),
                pool.submit(_fill_registry, cluster),
                pool.submit(addons.install, tools, profile),
            ):
                done.result()
        _await_everything(cluster, client)
    for oddity in profile.oddities:
        progress.step(oddity)
    progress.step(f"the cluster is up: export KUBECONFIG={cluster.kubeconfig}")


def down(cluster: Cluster) -> None:
    """Stop the cluster and remove all of it except the builds.

    Raises:
        PrerequisiteMissing: We are not root, or the cluster belongs to another cache.
        StepFailed: Something could not be removed.
    """
    requirements.check_for_removal()
    with _locked():
        _remove(cluster)
    progress.step("the cluster is down")


def load(cluster: Cluster, archives: Iterable[Path]) -> None:
    """Import OCI archives into all nodes."""
    with _locked():
        # An archive may take over the name of an image that `up` loaded, so the next `up` must load its images again.
        _on_all(cluster, lambda machine: containers.write_record(machine.directory, []))
        for archive in archives:
            _on_all(cluster, partial(containers.load, archive=archive))
            progress.step(f"{archive.name} is on all nodes")


def fitting(wanted: Profile) -> Profile:
    """Return the profile that this machine's kernel can run in place of the one that is asked for, and say so."""
    fits = wanted if not wanted.is_ipv6_first or network.has_ipv6() else without_ipv6(wanted)
    if fits != wanted:
        progress.step(f"this kernel has no IPv6: the profile is {fits.name} instead of {wanted.name}")
    return fits


def survey(cluster: Cluster) -> dict[str, bool]:
    """Tell for each part of the cluster whether it is ready; empty if there is no cluster."""
    if not cluster.kubeconfig.exists():
        return {}
    profile = cluster.profile
    taints = {of.name: profile.taint_keys(of) for of in NODES}
    return readiness.survey(api.Client(cluster.kubeconfig), taints, addons.workloads(profile))


def _ensure_disks(cluster: Cluster, archives: Iterable[Path], profile: Profile) -> None:
    if cluster.disks.exists() and not disks.are_of_this_boot(cluster.disks):
        progress.step("the machine has booted again, so the cluster starts anew")
        _remove(cluster)
    if not cluster.disks.exists():
        store = containers.ensure_store(archives, cluster.machine(CONTROL_PLANE_NODE), images.PAUSE)
        disks.prepare(cluster.disks, store, profile)
        progress.step("disks with keys and images are ready")
    elif cluster.profile != profile:
        raise PrerequisiteMissing(
            f"The cluster that runs has the profile {cluster.profile.name}, not {profile.name}: "
            "stop it first (make cluster-down)."
        )


def _boot(cluster: Cluster, mode: ProxyMode) -> dict[Node, dict[str, tuple[str, ...]]]:
    """Bring up the nodes, their network and containerd; return the commands of all their services."""
    with ThreadPoolExecutor() as pool:
        pids = dict(zip(NODES, pool.map(node.boot, cluster.machines), strict=True))
    profile = cluster.profile
    network.ensure(pids, has_ipv6=profile.is_ipv6_first)
    commands = {of: nodeservices.install(cluster.disks / of.name, of, images.PAUSE, mode, profile) for of in NODES}
    for of in NODES:
        _ensure_service(cluster, of, "containerd", commands[of].pop("containerd"))
    progress.step("nodes have booted and are connected")
    return commands


def _start_control_plane(cluster: Cluster) -> api.Client:
    layout = controlplane.Layout(Path(nodeservices.KUBERNETES), node.INSIDE / disks.CONTROL_PLANE)
    commands = controlplane.commands(layout, disks.endpoints(cluster.profile))
    admin = disks.admin_kubeconfig(cluster.disks)
    client = api.Client(admin)
    audit.install(disks.control_plane(cluster.disks))
    for name in controlplane.SERVERS:
        _ensure_service(cluster, CONTROL_PLANE_NODE, name, commands.pop(name))
    log = cluster.logs / f"{CONTROL_PLANE_NODE.name}-kube-apiserver.log"
    readiness.wait("API server serves", partial(client.answers, controlplane.ADMISSION_TO_HEALTH), log)
    for name, command in commands.items():
        _ensure_service(cluster, CONTROL_PLANE_NODE, name, command)
    log = cluster.logs / f"{CONTROL_PLANE_NODE.name}-kube-controller-manager.log"
    readiness.wait("control plane serves", partial(readiness.serves, client), log)
    pki.write_private(cluster.kubeconfig, admin.read_bytes())
    return client


def _start_nodes(cluster: Cluster, commands: dict[Node, dict[str, tuple[str, ...]]]) -> None:
    for of, services in commands.items():
        for name, command in services.items():
            _ensure_service(cluster, of, name, command)
    enforce = (sys.executable, "-m", "deploy.local.netpol", "--kubeconfig", str(cluster.kubeconfig))
    processes.ensure(Service("netpol", enforce, cluster.logs / "netpol.log"), cluster.state)


def _fill_registry(cluster: Cluster) -> None:
    if registry := cluster.registry:
        registry.run(cluster.state, cluster.logs)
        progress.step("images are in the registry")


def _ensure_service(cluster: Cluster, of: Node, name: str, command: tuple[str, ...]) -> None:
    machine = cluster.machine(of)
    node.ensure_service(machine, machine.service(name, command))


def _load_missing(cluster: Cluster, archives: list[Path]) -> None:
    def ensure(machine: Machine) -> None:
        if loaded := containers.ensure_images(machine, archives):
            containers.write_record(machine.directory, archives)
            progress.step(f"{machine.name}: loaded {', '.join(archive.name for archive in loaded)}")

    _on_all(cluster, ensure)


def _await_everything(cluster: Cluster, client: api.Client) -> None:
    profile = cluster.profile
    for of in NODES:
        log = cluster.logs / f"{of.name}-kubelet.log"
        boot = processes.started_at(node.boot(cluster.machine(of)))
        is_ready = partial(readiness.node_is_ready_since, client, of.name, profile.taint_keys(of), boot)
        readiness.wait(f"{of.name} is ready", is_ready, log)
    for workload in addons.workloads(profile):
        readiness.wait(
            f"{workload} is ready",
            partial(readiness.workload_is_ready, client, workload),
            cluster.logs / f"{CONTROL_PLANE_NODE.name}-kube-controller-manager.log",
        )


def _remove(cluster: Cluster) -> None:
    for _ in range(KILL_ROUNDS):
        pids = {process.pid for process in processes.marked(cluster.state)} | cgroups.processes()
        if not pids:
            break
        processes.kill(pids)
    else:
        raise StepFailed("processes of the cluster were started while it was taken down; try again")
    network.remove()
    cgroups.remove()
    paths.remove(cluster.state)


def _on_all(cluster: Cluster, act: Callable[[Machine], None]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(act, cluster.machines))


@contextmanager
def _locked() -> Iterator[None]:
    """Let one command at a time change the cluster."""
    with ExitStack() as stack:
        with progress.heartbeat("waiting for another command to be done with the cluster"):
            stack.enter_context(paths.locked(paths.cache_root() / "cluster.lock"))
        yield
