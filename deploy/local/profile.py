"""Kinds of clusters: ours, and one that is as unlike ours as clusters of users can be. Pure.

A cluster keeps its profile from its first start to its end. Everything in which one profile differs from another is a
field here, so that no other module asks for a profile by its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from deploy.local.errors import PrerequisiteMissing
from deploy.local.topology import NODES, Node


@dataclass(frozen=True)
class Taint:
    """Keeps the pods that do not tolerate it off a node (`spec.taints`)."""

    key: str
    value: str
    effect: str

    def manifest(self) -> dict[str, str]:
        """Write it as a kubelet registers it."""
        return {"key": self.key, "value": self.value, "effect": self.effect}


@dataclass(frozen=True)
class House:
    """What a platform team has put around a cluster: policies (`manifests/house-rules.yaml`) and a private registry.

    The policies are in force in namespaces with `labels` and `annotations`.

    Attributes:
        origin: Host in the names of images, as people write them.
        mirror: Host in whose place; a policy writes it. Nodes pull the images of both from the one registry.
        port: Where the registry listens, on the host's address on the bridge.
        pool: Taint of the nodes on which the team's tenants run.
        first_user_id: The first user id of each namespace.
        user_ids: How many user ids a namespace has.
    """

    origin: str
    mirror: str
    port: int
    pool: Taint
    first_user_id: int
    user_ids: int

    @property
    def labels(self) -> dict[str, str]:
        """Labels of a namespace under the rules."""
        return {"example.com/house-rules": "enforced", "pod-security.kubernetes.io/enforce": "restricted"}

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations of a namespace under the rules: its user ids, in OpenShift's own notation."""
        return {"openshift.io/sa.scc.uid-range": f"{self.first_user_id}/{self.user_ids}"}

    @property
    def hosts(self) -> tuple[str, str]:
        """Every host that the registry stands for."""
        return self.origin, self.mirror


class Oddity(StrEnum):
    """How a cluster can differ from most clusters, one sentence each; `tests/e2e/awkward/oddities.py` looks at each."""

    CERTIFICATE = "The API server's certificate has no key identifiers."
    TAINTS = "The control plane's node and both workers have taints, so that only pods with tolerations run."
    DOMAIN = "The DNS domain is corp.example."
    DNS_ON_NODES = "DNS servers run in their nodes' networks, and kubelets send pods to the address of their own node."
    IPV6_FIRST = (
        "IPv6 comes first: Services have addresses of that family alone, nodes and pods have one of IPv4 besides."
    )
    IPV4_ALONE = "Nodes, pods and Services have addresses of IPv4 alone, as on a kernel that has no IPv6."
    NO_DEFAULT_CLASS = "No StorageClass is the default."
    RESTRICTED = "Namespaces enforce the restricted Pod Security Standard."
    USER_IDS = (
        "A policy demands user ids out of a range of the namespace, as OpenShift does, and another one assigns them."
    )
    BOUNDS = (
        "In every namespace, the release's and ToolHive's among them, a ResourceQuota counts CPU limits, so that "
        "containers without one are refused, and a LimitRange bounds memory."
    )
    MIRROR = "A policy rewrites the names of images to those of a mirror."
    CREDENTIALS = "The registry and its mirror ask for credentials."


@dataclass(frozen=True)
class Profile:
    """What kind of cluster it is.

    Attributes:
        name: Its name on the command line.
        oddities: How it differs from most clusters.
        domain: Domain of the cluster's DNS names.
        storage_class: Name of the one StorageClass.
        has_default_class: Whether claims that name no class get that one.
        is_dns_on_nodes: Whether DNS servers are in their nodes' networks, one on each node, and listen on port 53. Else
            they are ordinary pods behind a Service.
        is_ipv6_first: Whether nodes, pods and Services have addresses of both families, the one of IPv6 first.
        taints: Each node's own taint, by the node's name.
        house: What a platform team has put around the cluster, if there is one.
    """

    name: str
    oddities: tuple[Oddity, ...] = ()
    domain: str = "cluster.local"
    storage_class: str = "standard"
    has_default_class: bool = True
    is_dns_on_nodes: bool = False
    is_ipv6_first: bool = False
    taints: Mapping[str, Taint] = field(default_factory=dict)
    house: House | None = None

    @property
    def families(self) -> tuple[str, ...]:
        """IP families of nodes and pods; Services have the first one alone."""
        return ("IPv6", "IPv4") if self.is_ipv6_first else ("IPv4",)

    def taints_of(self, node: Node) -> tuple[Taint, ...]:
        """List the taints that a node has by design."""
        return tuple(taint for name, taint in self.taints.items() if name == node.name)

    def taint_keys(self, node: Node) -> list[str]:
        """List their keys."""
        return [taint.key for taint in self.taints_of(node)]

    @property
    def tolerations(self) -> list[dict[str, str]]:
        """What pods tolerate that belong to the cluster itself."""
        return [{"operator": "Exists"}] if self.taints else []

    @property
    def packages(self) -> dict[str, str]:
        """The Debian packages of programs that only this profile needs."""
        return {"docker-registry": "docker-registry"} if self.house else {}


_CONTROL_PLANE, *_WORKERS = NODES
_OF_CONTROL_PLANE: Final = Taint("node-role.kubernetes.io/control-plane", "", "NoSchedule")
_OF_WORKERS: Final = Taint("pool", "stateful", "NoSchedule")

HOUSE: Final = House(
    origin="registry.example.com",
    mirror="mirror.example.com",
    port=5000,
    pool=_OF_WORKERS,
    first_user_id=1_000_650_000,
    user_ids=10_000,
)
ORDINARY: Final = Profile("ordinary")
AWKWARD: Final = Profile(
    "awkward",
    oddities=tuple(each for each in Oddity if each is not Oddity.IPV4_ALONE),
    domain="corp.example",
    storage_class="fast-ssd",
    has_default_class=False,
    is_dns_on_nodes=True,
    is_ipv6_first=True,
    taints={_CONTROL_PLANE.name: _OF_CONTROL_PLANE, **{each.name: _OF_WORKERS for each in _WORKERS}},
    house=HOUSE,
)
_OTHER_FAMILY: Final = {Oddity.IPV6_FIRST: Oddity.IPV4_ALONE}
AWKWARD_IPV4: Final = replace(
    AWKWARD,
    name="awkward-ipv4",
    oddities=tuple(_OTHER_FAMILY.get(each, each) for each in AWKWARD.oddities),
    is_ipv6_first=False,
)
PROFILES: Final = {profile.name: profile for profile in (ORDINARY, AWKWARD, AWKWARD_IPV4)}


def named(name: str) -> Profile:
    """Return a profile by its name.

    Raises:
        PrerequisiteMissing: There is no such profile.
    """
    if name not in PROFILES:
        raise PrerequisiteMissing(f"there is no profile {name!r}: the local cluster can be {' or '.join(PROFILES)}")
    return PROFILES[name]


def without_ipv6(profile: Profile) -> Profile:
    """Return what takes a profile's place on a kernel without IPv6; most profiles need no IPv6."""
    return AWKWARD_IPV4 if profile.is_ipv6_first else profile
