"""What befalls a node of the local cluster from outside: its cable, its packets, its disks. All of it is undone."""

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
from deploy.local.cluster import Cluster
from deploy.local.netpol import nft
from deploy.local.topology import API_PORT, CONTROL_PLANE_NODE, NODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.demo.kube import Kube, Object

KUBECONFIG: Final = paths.kubeconfig()
BY_NAME: Final = {each.name: each for each in NODES}
CONTROL_PLANE: Final = CONTROL_PLANE_NODE.name
TABLE: Final = "inet tss-chaos"
# Named first, because what is not there cannot be deleted.
NO_TABLE: Final = f"table {TABLE}\ndelete table {TABLE}\n"
FILLER: Final = ".filler"


def mend(kube: Kube) -> None:
    """Undo whatever a run has left that was killed and could not undo it itself."""
    for pid in cgroups.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    for each in NODES:
        _run("ip", "link", "set", each.interface, "up")
        asyncio.run(nft.load(network.NAMESPACES / each.interface, NO_TABLE))
        kube.run("uncordon", each.name)


@contextmanager
def unplugged(name: str) -> Iterator[None]:
    """Pull a node's cable out of the bridge, and plug it in at the end."""
    cable = BY_NAME[name].interface
    _run("ip", "link", "set", cable, "down")
    try:
        if (state := (network.INTERFACES / cable / "operstate").read_text().strip()) != "down":
            raise CommandFailed(f"the cable {cable} is {state} although it was pulled out")
        yield
    finally:
        _run("ip", "link", "set", cable, "up")


@contextmanager
def dropping(name: str, rules: str) -> Iterator[None]:
    """Have a node drop packets until the block ends.

    Args:
        name: The node.
        rules: Chains, as `between` and `around` write them.
    """
    namespace = network.NAMESPACES / BY_NAME[name].interface
    asyncio.run(nft.load(namespace, f"{NO_TABLE}table {TABLE} {{\n{rules}}}\n"))
    try:
        yield
    finally:
        asyncio.run(nft.load(namespace, NO_TABLE))


def between(ones: Sequence[str], others: Sequence[str]) -> str:
    """Write rules that drop all that pods with these addresses send to those, and back. Pure."""
    pairs = [(one, other) for one in ones for other in others]
    drops = [f"ip saddr {a} ip daddr {b} drop" for pair in pairs for a, b in (pair, pair[::-1])]
    return _chain("forward", drops)


def around(address: str) -> str:
    """Write rules that cut a pod off from everybody but its own kubelet, for which it is still alive. Pure."""
    forwarded = [f"ip saddr {address} drop", f"ip daddr {address} drop"]
    return _chain("forward", forwarded) + _chain("input", [f"ip saddr {address} tcp dport {API_PORT} drop"])


def _chain(hook: str, rules: Sequence[str]) -> str:
    # Before all filters; after the destination was translated from a Service's address to a pod's.
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


def volume(kube: Kube, pod: Object) -> Path:
    """Say where the node has the directory that is a pod's volume, as the node's own processes see it."""
    (claim,) = (
        each["persistentVolumeClaim"]["claimName"] for each in pod["spec"]["volumes"] if "persistentVolumeClaim" in each
    )
    namespace = pod["metadata"]["namespace"]
    name = kube.run("get", "pvc", claim, "--output=jsonpath={.spec.volumeName}", namespace=namespace)
    found = kube.get("pv", name) or {"spec": {}}
    where = found["spec"].get("hostPath") or found["spec"].get("local") or {}
    if not where:
        raise CommandFailed(f"the volume of {pod['metadata']['name']} is no directory of its node")
    return Path(where["path"])


def empty(name: str, directory: Path) -> None:
    """Remove everything in a directory of a node."""
    _inside(name, "find", str(directory), "-mindepth", "1", "-delete")


@contextmanager
def small_disk(name: str, directory: Path, mebibytes: int) -> Iterator[None]:
    """Put a file system of its own, which is small, over a node's directory, with what was in there; until the end."""
    copying = (
        f'cp -a "$1" "$1.copy" && mount -t tmpfs -o size={mebibytes}m,mode=0777 chaos "$1" && cp -a "$1.copy/." "$1"'
    )
    try:
        _inside(name, "sh", "-euc", copying, "copy", str(directory))
        yield
    finally:
        # Whoever still has it open keeps it until it closes it.
        _inside(name, "sh", "-c", 'umount -l "$1"; rm -rf "$1.copy"', "remove", str(directory))


@contextmanager
def filled(name: str, directory: Path) -> Iterator[None]:
    """Fill the file system that a node's directory is on, to the last byte; until the end."""
    filler = str(directory / FILLER)
    try:
        with suppress(CommandFailed):  # that there is no space left is what it is for
            _inside(name, "dd", "if=/dev/zero", f"of={filler}", "bs=64K")
        _inside(name, "test", "-s", filler)
        yield
    finally:
        _inside(name, "rm", "-f", filler)


def tag_image(reference: str, alias: str) -> None:
    """Give an image that all nodes have a second name."""
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
