"""The fixed shape of the cluster: nodes, addresses and names. Pure.

All addresses lie in 198.18.0.0/15, which is reserved for benchmarks (RFC 2544), so that they meet no
real network, and never in a private range that a developer's own network may use. Each cluster of a machine
has an eighth of that range, chosen by the cluster's number.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network

from deploy.local import paths

BENCHMARKS = IPv4Network("198.18.0.0/15")
NETWORK = list(BENCHMARKS.subnets(new_prefix=18))[paths.CLUSTER_NUMBER]
BRIDGE = f"tss{paths.CLUSTER_NUMBER}"
HOST_ADDRESS = str(NETWORK[1])
NODE_NETWORK = IPv4Network((NETWORK[0], 24))
POD_NETWORK = IPv4Network((NETWORK[16 * 256], 22))
SERVICE_NETWORK = IPv4Network((NETWORK[32 * 256], 20))
API_SERVICE_ADDRESS = str(SERVICE_NETWORK[1])
DNS_ADDRESS = str(SERVICE_NETWORK[10])
# Where the DNS pods listen, behind the Service's port 53: no process needs a right for that, and OpenShift's do so too.
DNS_PORT = 5353
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
        return f"{BRIDGE}-{self.name}"


NODES = tuple(
    Node(f"node{index}", str(NODE_NETWORK[10 + index]), pods, f"zone-{zone}")
    for index, pods, zone in zip((1, 2, 3), POD_NETWORK.subnets(new_prefix=24), "abc", strict=False)
)
# The control plane runs in the first node's namespaces: webhooks are called from where it is, so it
# needs that node's routes to all pods and its kube-proxy.
CONTROL_PLANE_NODE = NODES[0]
API_URL = f"https://{CONTROL_PLANE_NODE.address}:{API_PORT}"
