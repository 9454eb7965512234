"""The nodes' disks: made once per cluster with keys and images, and complete or absent."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local import containers, controlplane, node, paths, pki
from deploy.local.controlplane import Endpoints
from deploy.local.pki import Authority, Identity
from deploy.local.profile import ORDINARY, Profile, named
from deploy.local.topology import API_PORT, CONTROL_PLANE_NODE, NODES, Node

# On the first node's disk.
CONTROL_PLANE = "control-plane"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Beside the nodes' disks.
PROFILE = "profile"


def endpoints(profile: Profile) -> Endpoints:
    """Say where the control plane of a cluster listens."""
    address_6 = CONTROL_PLANE_NODE.address_6 if profile.is_ipv6_first else ""
    return Endpoints(CONTROL_PLANE_NODE.address, API_PORT, domain=profile.domain, address_6=address_6)


def prepare(disks: Path, image_store: Path, profile: Profile = ORDINARY) -> None:
    """Make the disks of a new cluster.

    Args:
        disks: Where they appear, one directory per node.
        image_store: A disk with the images that all nodes start with.
        profile: What kind of cluster it will be.
    """
    listening = endpoints(profile)
    with paths.appearing(disks) as work:
        for each in NODES:
            node.make_disk(work / each.name)
        authority = controlplane.prepare(control_plane(work), listening)
        for each in NODES:
            _write_credentials(work / each.name / "pki", each, authority, listening.url)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: containers.copy_store(image_store, work / each.name), NODES))
        (work / BOOT_ID.name).write_text(BOOT_ID.read_text())
        (work / PROFILE).write_text(profile.name)


def are_of_this_boot(disks: Path) -> bool:
    """Tell whether the machine has not booted since the disks were made.

    etcd runs without fsync, so nobody can trust its data after a crash of the machine.
    """
    return (disks / BOOT_ID.name).read_text() == BOOT_ID.read_text()


def profile_of(disks: Path) -> Profile:
    """Read what kind of cluster the disks belong to; those of an older checkout are of the only kind it had."""
    file = disks / PROFILE
    return named(file.read_text()) if file.exists() else ORDINARY


def control_plane(disks: Path) -> Path:
    """Say where the control plane has its files, as the host sees them."""
    return disks / CONTROL_PLANE_NODE.name / CONTROL_PLANE


def admin_kubeconfig(disks: Path) -> Path:
    """Say where the administrator's kubeconfig is."""
    return control_plane(disks) / "pki" / "admin.kubeconfig"


def _write_credentials(directory: Path, each: Node, authority: Authority, server: str) -> None:
    directory.mkdir(mode=0o700)
    authority.write(directory, "ca")
    authority.issue(directory, "kubelet-server", Identity(each.name, hosts=(each.name, each.address, each.address_6)))
    for name, identity in {
        "kubelet": Identity(f"system:node:{each.name}", "system:nodes"),
        "kube-proxy": Identity("system:kube-proxy"),
    }.items():
        pki.write_kubeconfig(directory, name, server, authority, identity)
