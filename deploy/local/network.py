"""The network of the cluster: a bridge without uplink, one cable per node, and static routes.

Nothing leads out: nodes have no default route and the host's forwarding and firewall stay untouched. The host
has an address on the bridge and routes to pods and Services, all of which vanish with the bridge.
"""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from deploy.local.errors import StepFailed
from deploy.local.topology import (
    BRIDGE,
    CONTROL_PLANE_NODE,
    HOST_ADDRESS,
    NODE_NETWORK,
    NODE_NETWORK_6,
    NODES,
    SERVICE_NETWORK,
    SERVICE_NETWORK_6,
    Node,
)

INTERFACES = Path("/sys/class/net")
# Where `ip netns` and `nsenter` look for namespaces by name. A link to the namespace of a process serves them
# as well as a mount does, and needs no unmounting.
NAMESPACES = Path("/run/netns")
CABLE_END = "eth0"


def host_commands(existing: set[str]) -> Iterator[str]:
    """Say what the host lacks, as lines for `ip -batch`.

    Args:
        existing: Names of the host's interfaces.
    """
    if BRIDGE not in existing:
        yield f"link add {BRIDGE} type bridge"
    yield f"address replace {HOST_ADDRESS}/{NODE_NETWORK.prefixlen} dev {BRIDGE}"
    yield f"link set {BRIDGE} up"


def cable_commands(node: Node, pid: int, *, is_plugged: bool) -> Iterator[str]:
    """Say how a node is plugged in, as lines for `ip -batch` on the host.

    Args:
        node: The node.
        pid: A process in its network namespace.
        is_plugged: Whether there is a cable between bridge and node.
    """
    if not is_plugged:
        yield f"link add {node.interface} type veth peer name {CABLE_END} netns {pid}"
    yield f"link set {node.interface} master {BRIDGE}"
    yield f"link set {node.interface} up"


def route_commands() -> Iterator[str]:
    """Say how the host reaches pods and Services; kube-proxy of one node serves for the latter."""
    for node in NODES:
        yield f"route replace {node.pods} via {node.address} dev {BRIDGE}"
    yield f"route replace {SERVICE_NETWORK} via {CONTROL_PLANE_NODE.address} dev {BRIDGE}"


def node_commands(node: Node) -> Iterator[str]:
    """Say what a node's namespace lacks, as lines for `ip -batch` in it."""
    yield "link set lo up"
    yield f"address replace {node.address}/{NODE_NETWORK.prefixlen} dev {CABLE_END}"
    yield f"link set {CABLE_END} up"
    for other in NODES:
        if other != node:
            yield f"route replace {other.pods} via {other.address} dev {CABLE_END}"
    # The kernel needs a route before kube-proxy's rules insert a pod's address: so the API server calls webhooks.
    yield f"route replace {SERVICE_NETWORK} dev {CABLE_END}"


def node_commands_6(node: Node) -> Iterator[str]:
    """Say what a node's namespace lacks for IPv6; the host needs no address of that family.

    Nobody else can have the address, so the kernel need not ask for a second before it uses it (`nodad`).
    """
    yield f"address replace {node.address_6}/{NODE_NETWORK_6.prefixlen} dev {CABLE_END} nodad"
    for other in NODES:
        if other != node:
            yield f"route replace {other.pods_6} via {other.address_6} dev {CABLE_END}"
    yield f"route replace {SERVICE_NETWORK_6} dev {CABLE_END}"


def has_ipv6() -> bool:
    """Tell whether nodes could have addresses of IPv6.

    A kernel may be built or booted without, or with IPv6 switched off for new interfaces, so a network namespace that
    ends at once tries it.
    """
    address = ("address", "add", f"{CONTROL_PLANE_NODE.address_6}/128", "dev", "lo")
    done = subprocess.run(["unshare", "--net", "ip", *address], capture_output=True, check=False)
    return done.returncode == 0


def ensure(init_pids: dict[Node, int], *, has_ipv6: bool = False) -> None:
    """Connect all nodes; what is there already stays as it is.

    Args:
        init_pids: For each node, a process that holds its network namespace.
        has_ipv6: Whether nodes and pods have addresses of IPv6 too.

    Raises:
        StepFailed: The kernel refused something.
    """
    _batch(host_commands(_interfaces()))
    NAMESPACES.mkdir(exist_ok=True)
    for node, pid in init_pids.items():
        is_plugged = f"{CABLE_END}:" in Path(f"/proc/{pid}/net/dev").read_text()
        if not is_plugged:
            # The cable of a node that died: the kernel takes a moment to remove it.
            _discard([node.interface])
        _batch(cable_commands(node, pid, is_plugged=is_plugged))
        _batch(node_commands(node), "nsenter", f"--net=/proc/{pid}/ns/net")
        if has_ipv6:
            _batch(node_commands_6(node), "nsenter", f"--net=/proc/{pid}/ns/net")
        link = NAMESPACES / node.interface
        link.unlink(missing_ok=True)
        link.symlink_to(f"/proc/{pid}/ns/net")
    _batch(route_commands())


def remove() -> None:
    """Remove bridge and cables, and with them the host's routes."""
    _discard([BRIDGE, *(node.interface for node in NODES)])
    for node in NODES:
        (NAMESPACES / node.interface).unlink(missing_ok=True)
    # `ip netns` mounts the directory on itself; then it is someone else's.
    is_mounted = f" {NAMESPACES} " in Path("/proc/self/mountinfo").read_text()
    if NAMESPACES.exists() and not is_mounted and not any(NAMESPACES.iterdir()):
        NAMESPACES.rmdir()


def _discard(names: Iterable[str]) -> None:
    lines = "".join(f"link delete {name}\n" for name in names if name in _interfaces())
    # `ip` fails for an interface that has just vanished by itself; only interfaces that are left count.
    subprocess.run(["ip", "-force", "-batch", "-"], input=lines.encode(), stderr=subprocess.DEVNULL, check=False)
    if left := _interfaces().intersection(names):
        raise StepFailed(f"network interfaces could not be removed: {', '.join(sorted(left))}")


def _interfaces() -> set[str]:
    return {path.name for path in INTERFACES.iterdir()}


def _batch(lines: Iterable[str], *enter: str) -> None:
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run([*enter, "ip", "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailed(f"network set-up failed: {done.stderr.strip()}\nwhile doing:\n{text}")
