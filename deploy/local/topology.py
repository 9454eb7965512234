"""The fixed shape of the cluster: nodes, addresses and names. Pure.

All addresses lie in 198.18.0.0/15 and 2001:2::/48, which are reserved for benchmarks (RFC 2544, RFC 5180), so that they
meet no real network, and never in a private range that a developer's own network may use. Each cluster of a machine
has an eighth of both ranges, chosen by the cluster's number. Only clusters with two IP families use the second one.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from deploy.local import paths

BENCHMARKS = IPv4Network("198.18.0.0/15")
BENCHMARKS_6 = IPv6Network("2001:2::/48")
NETWORK = list(BENCHMARKS.subnets(new_prefix=18))[paths.CLUSTER_NUMBER]
NETWORK_6 = list(BENCHMARKS_6.subnets(new_prefix=51))[paths.CLUSTER_NUMBER]
BRIDGE = f"tss{paths.CLUSTER_NUMBER}"
HOST_ADDRESS = str(NETWORK[1])
NODE_NETWORK = IPv4Network((NETWORK[0], 24))
POD_NETWORK = IPv4Network((NETWORK[16 * 256], 22))
SERVICE_NETWORK = IPv4Network((NETWORK[32 * 256], 20))
NODE_NETWORK_6 = IPv6Network((NETWORK_6[0], 64))
POD_NETWORK_6 = IPv6Network((NETWORK_6[16 << 64], 62))
# An API server takes no larger one.
SERVICE_NETWORK_6 = IPv6Network((NETWORK_6[32 << 64], 108))
API_SERVICE_ADDRESS = str(SERVICE_NETWORK[1])
API_SERVICE_ADDRESS_6 = str(SERVICE_NETWORK_6[1])
DNS_ADDRESS = str(SERVICE_NETWORK[10])
# Where the DNS pods listen, behind the Service's port 53: no process needs a right for that, and OpenShift's do so too.
DNS_PORT = 5353
# Where DNS servers in the network of their node listen: kubelets can name the address of one, but no port.
DNS_PORT_ON_NODES = 53
API_PORT = 6443


@dataclass(frozen=True)
class Node:
    """One node of the cluster.

    Attributes:
        name: Its name in Kubernetes and its host name.
        address: Its address on the bridge.
        address_6: Its IPv6 address there.
        pods: The network its pods get their addresses from.
        pods_6: The network of their IPv6 addresses.
        zone: Its `topology.kubernetes.io/zone`.
    """

    name: str
    address: str
    address_6: str
    pods: IPv4Network
    pods_6: IPv6Network
    zone: str

    @property
    def interface(self) -> str:
        """Name of the bridge's end of the node's cable, and of its network namespace in `/run/netns`."""
        return f"{BRIDGE}-{self.name}"


NODES = tuple(
    Node(f"node{index}", str(NODE_NETWORK[10 + index]), str(NODE_NETWORK_6[10 + index]), pods, pods_6, f"zone-{zone}")
    for index, pods, pods_6, zone in zip(
        (1, 2, 3), POD_NETWORK.subnets(new_prefix=24), POD_NETWORK_6.subnets(new_prefix=64), "abc", strict=False
    )
)
# The control plane runs in the first node's namespaces: webhooks are called from where it is, so it
# needs that node's routes to all pods and its kube-proxy.
CONTROL_PLANE_NODE = NODES[0]
API_URL = f"https://{CONTROL_PLANE_NODE.address}:{API_PORT}"
