"""Faults of a node of the local cluster: its link, its packets, its disks. Each is undone when its block ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.demo.errors import CommandFailed
from deploy.local import cgroups, network, node, paths
from deploy.local.home import Cluster
from deploy.local.netpol import nft
from deploy.local.topology import API_PORT, CONTROL_PLANE_NODE, NODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.demo.kube import Kube, Object

KUBECONFIG: Final = paths.kubeconfig()
BY_NAME: Final = {each.name: each for each in NODES}
CONTROL_PLANE: Final = CONTROL_PLANE_NODE.name
WORKERS: Final = [each.name for each in NODES if each.name != CONTROL_PLANE]
TABLE: Final = "inet tss-chaos"
# nft cannot delete a table that does not exist, so the first line makes it.
NO_TABLE: Final = f"table {TABLE}\ndelete table {TABLE}\n"
DNS_NAMESPACE: Final = "kube-system"
FILLER: Final = ".filler"


def undo_leftovers(kube: Kube) -> None:
    """Undo the faults that a killed run has left behind."""
    for pid in cgroups.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    for each in NODES:
        _run("ip", "link", "set", each.interface, "up")
        asyncio.run(nft.load(network.NAMESPACES / each.interface, NO_TABLE))
        kube.run("uncordon", each.name)


@contextmanager
def unplugged(name: str) -> Iterator[None]:
    """Take a node's link to the bridge down until the block ends."""
    link = BY_NAME[name].interface
    _run("ip", "link", "set", link, "down")
    try:
        if (state := (network.INTERFACES / link / "operstate").read_text().strip()) != "down":
            raise CommandFailed(f"the link {link} is {state} although it was taken down")
        yield
    finally:
        _run("ip", "link", "set", link, "up")


@contextmanager
def dropping(name: str, rules: str) -> Iterator[None]:
    """Make a node drop packets until the block ends.

    Args:
        name: Name of the node.
        rules: nftables chains, as `drops_between` and `drops_around` write them.
    """
    drop(name, rules)
    try:
        yield
    finally:
        drop(name, "")


def drop(name: str, rules: str) -> None:
    """Make a node drop packets by these rules, and by no others of this module; by none if they are empty."""
    table = f"table {TABLE} {{\n{rules}}}\n" if rules else ""
    asyncio.run(nft.load(network.NAMESPACES / BY_NAME[name].interface, NO_TABLE + table))


def drops_between(ones: Sequence[str], others: Sequence[str]) -> str:
    """Write rules that drop all packets between two groups of pod addresses, both ways. Pure."""
    pairs = [(one, other) for one in ones for other in others]
    drops = [f"ip saddr {a} ip daddr {b} drop" for pair in pairs for a, b in (pair, pair[::-1])]
    return _chain("forward", drops)


def drops_around(address: str) -> str:
    """Write rules that cut a pod off from everybody but its own kubelet, whose probes must not restart it. Pure."""
    forwarded = [f"ip saddr {address} drop", f"ip daddr {address} drop"]
    return _chain("forward", forwarded) + _chain("input", [f"ip saddr {address} tcp dport {API_PORT} drop"])


def _chain(hook: str, rules: Sequence[str]) -> str:
    # Before all other filters, but after kube-proxy has translated a Service's address to a pod's.
    head = f"  chain {hook} {{\n    type filter hook {hook} priority -10;\n"
    return head + "".join(f"    {rule}\n" for rule in rules) + "  }\n"


@contextmanager
def cordoned(kube: Kube, name: str) -> Iterator[None]:
    """Keep new pods away from a node until the block ends."""
    kube.run("cordon", name)
    try:
        yield
    finally:
        kube.run("uncordon", name)


def alone(kube: Kube) -> set[str]:
    """Name the nodes that have neither the control plane nor a DNS server."""
    return set(WORKERS) - {pod["spec"]["nodeName"] for pod in _dns_servers(kube)}


def resolve_elsewhere(kube: Kube, name: str) -> None:
    """Move DNS servers away from a node."""
    here = [pod["metadata"]["name"] for pod in _dns_servers(kube) if pod["spec"]["nodeName"] == name]
    with cordoned(kube, name):
        kube.run("delete", "pod", *here, "--ignore-not-found", namespace=DNS_NAMESPACE)
        kube.run("rollout", "status", "deployment/coredns", "--timeout=60s", namespace=DNS_NAMESPACE)


def _dns_servers(kube: Kube) -> list[Object]:
    return kube.items("pods", DNS_NAMESPACE, "--selector=k8s-app=kube-dns")


def volume(kube: Kube, pod: Object) -> Path:
    """Find the directory of a pod's volume, as a path on the pod's node."""
    (claim,) = (
        each["persistentVolumeClaim"]["claimName"] for each in pod["spec"]["volumes"] if "persistentVolumeClaim" in each
    )
    namespace = pod["metadata"]["namespace"]
    name = kube.run("get", "pvc", claim, "--output=jsonpath={.spec.volumeName}", namespace=namespace)
    found = kube.get("pv", name) or {"spec": {}}
    where = found["spec"].get("hostPath") or found["spec"].get("local") or {}
    if not where:
        raise CommandFailed(f"the volume of pod {pod['metadata']['name']} is no directory on its node")
    return Path(where["path"])


def empty(name: str, directory: Path) -> None:
    """Remove everything in a directory on a node."""
    _inside(name, "find", str(directory), "-mindepth", "1", "-delete")


@contextmanager
def small_disk(name: str, directory: Path, mebibytes: int) -> Iterator[None]:
    """Mount a small file system over a directory on a node, with a copy of its content, until the block ends."""
    copying = (
        f'cp -a "$1" "$1.copy" && mount -t tmpfs -o size={mebibytes}m,mode=0777 chaos "$1" && cp -a "$1.copy/." "$1"'
    )
    try:
        _inside(name, "sh", "-euc", copying, "copy", str(directory))
        yield
    finally:
        # Lazily, because a process may still have a file open there.
        _inside(name, "sh", "-c", 'umount -l "$1"; rm -rf "$1.copy"', "remove", str(directory))


@contextmanager
def filled(name: str, directory: Path) -> Iterator[None]:
    """Fill the file system of a directory on a node to the last byte, until the block ends."""
    filler = str(directory / FILLER)
    try:
        with suppress(CommandFailed):  # dd fails when the disk is full, which is its purpose here
            _inside(name, "dd", "if=/dev/zero", f"of={filler}", "bs=64K")
        _inside(name, "test", "-s", filler)
        yield
    finally:
        _inside(name, "rm", "-f", filler)


def tag_image(reference: str, alias: str) -> None:
    """Give an image a second name on all nodes."""
    for each in NODES:
        _inside(each.name, "ctr", "--namespace", "k8s.io", "images", "tag", "--force", reference, alias)


def _inside(name: str, *command: str) -> None:
    machine = Cluster.of_this_cache().machine(BY_NAME[name])
    pid = node.init_pid(machine)
    if pid is None:
        raise CommandFailed(f"{name} does not run")
    _run(*node.enter(pid), *command)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip()}")
