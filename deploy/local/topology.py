"""The fixed shape of the cluster: nodes, addresses and names. Pure.

All addresses lie in 198.18.0.0/15, which is reserved for benchmarks (RFC 2544), so that they meet no
real network, and never in a private range that a developer's own network may use.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network

BRIDGE = "tss0"
HOST_ADDRESS = "198.18.0.1"
NODE_NETWORK = IPv4Network("198.18.0.0/24")
POD_NETWORK = IPv4Network("198.18.16.0/22")
SERVICE_NETWORK = IPv4Network("198.18.32.0/20")
API_SERVICE_ADDRESS = "198.18.32.1"
DNS_ADDRESS = "198.18.32.10"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443


@dataclass(frozen=True)
class Node:
    """One node of the cluster.

    Attributes:
        name: Its name in Kubernetes and its host name.
        address: Its address on the bridge.
        pods: The network its pods get their addresses from.
        zone: Its `topology.kubernetes.io/zone`.
    """

    name: str
    address: str
    pods: IPv4Network
    zone: str

    @property
    def interface(self) -> str:
        """Name of the bridge's end of the node's cable, and of its network namespace in `/run/netns`."""
        return f"tss-{self.name}"


NODES = (
    Node("node1", "198.18.0.11", IPv4Network("198.18.16.0/24"), "zone-a"),
    Node("node2", "198.18.0.12", IPv4Network("198.18.17.0/24"), "zone-b"),
    Node("node3", "198.18.0.13", IPv4Network("198.18.18.0/24"), "zone-c"),
)
# The control plane runs in the first node's namespaces: webhooks are called from where it is, so it
# needs that node's routes to all pods and its kube-proxy.
CONTROL_PLANE_NODE = NODES[0]
API_URL = f"https://{CONTROL_PLANE_NODE.address}:{API_PORT}"
