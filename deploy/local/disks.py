"""The nodes' disks: made once per cluster with keys and images, and complete or absent."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local import containers, controlplane, node, paths, pki
from deploy.local.pki import Authority, Identity
from deploy.local.topology import API_PORT, CONTROL_PLANE_NODE, NODES, Node

ENDPOINTS = controlplane.Endpoints(CONTROL_PLANE_NODE.address, API_PORT)
# On the first node's disk.
CONTROL_PLANE = "control-plane"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def prepare(disks: Path, image_store: Path) -> None:
    """Make the disks of a new cluster.

    Args:
        disks: Where they appear, one directory per node.
        image_store: A disk with the images that all nodes start with.
    """
    with paths.appearing(disks) as work:
        for each in NODES:
            node.make_disk(work / each.name)
        authority = controlplane.prepare(work / CONTROL_PLANE_NODE.name / CONTROL_PLANE, ENDPOINTS)
        for each in NODES:
            _write_credentials(work / each.name / "pki", each, authority)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: containers.copy_store(image_store, work / each.name), NODES))
        (work / BOOT_ID.name).write_text(BOOT_ID.read_text())


def are_of_this_boot(disks: Path) -> bool:
    """Tell whether the machine has not booted since the disks were made.

    etcd runs without fsync, so nobody can trust its data after a crash of the machine.
    """
    return (disks / BOOT_ID.name).read_text() == BOOT_ID.read_text()


def admin_kubeconfig(disks: Path) -> Path:
    """Say where the administrator's kubeconfig is."""
    return disks / CONTROL_PLANE_NODE.name / CONTROL_PLANE / "pki" / "admin.kubeconfig"


def _write_credentials(directory: Path, each: Node, authority: Authority) -> None:
    directory.mkdir(mode=0o700)
    authority.write(directory, "ca")
    authority.issue(directory, "kubelet-server", Identity(each.name, hosts=(each.name, each.address)))
    for name, identity in {
        "kubelet": Identity(f"system:node:{each.name}", "system:nodes"),
        "kube-proxy": Identity("system:kube-proxy"),
    }.items():
        pki.write_kubeconfig(directory, name, ENDPOINTS.url, authority, identity)
