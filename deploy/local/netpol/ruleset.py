"""Decides everything that nftables of one node enforces for NetworkPolicies. Pure.

Pods hang on routed veth pairs, so that all their traffic, even between two pods of a node, is forwarded by
the node; there kube-proxy has already put a pod's address in place of a Service's, and has not yet
masqueraded the source. What the node itself sends, kubelet's probes above all, is never forwarded and so
always arrives. What is not allowed is dropped, not rejected: a client that connects before its address is
known here gets through when it repeats its SYN.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from deploy.local.netpol.endpoints import Address, Endpoint, endpoints, order
from deploy.local.netpol.rules import EGRESS, FAMILIES, INGRESS, Direction, accepting, selects
from deploy.local.topology import API_PORT, DNS_PORT_ON_NODES
from shared.objects.resources import Object, key_of

TABLE: Final = "inet tss-netpol"

# Creating the table first makes deleting it valid on a node that has none; nft applies the file as one transaction.
_START: Final = f"""\
table {TABLE}
delete table {TABLE}
table {TABLE} {{
"""

# Two base chains, because `accept` ends only the one that it is in: traffic between two pods of this node must
# pass both. A pod may always talk to its own node, but the API server and a DNS server in the node's network are more
# than its node: whether a policy lets a pod reach them must not depend on where the pod runs.
_HOOKS: Final = f"""\
\tchain forward-egress {{
\t\ttype filter hook forward priority filter; policy accept;
\t\tct state established,related accept
\t\tip saddr vmap @egress4
\t\tip6 saddr vmap @egress6
\t}}
\tchain forward-ingress {{
\t\ttype filter hook forward priority filter + 10; policy accept;
\t\tct state established,related accept
\t\tip daddr vmap @ingress4
\t\tip6 daddr vmap @ingress6
\t}}
\tchain input-egress {{
\t\ttype filter hook input priority filter; policy accept;
\t\tct state established,related accept
\t\tmeta l4proto != {{ tcp, udp }} accept
\t\tth dport != {{ {API_PORT}, {DNS_PORT_ON_NODES} }} accept
\t\tip saddr vmap @egress4
\t\tip6 saddr vmap @egress6
\t}}
"""

_END: Final = "}\n"


def render(node: str, pods: Collection[Object], namespaces: Collection[Object], policies: Collection[Object]) -> str:
    """Write the whole ruleset of one node, to be loaded by `nft -f`.

    Args:
        node: Its name, as in `spec.nodeName` of its pods.
        pods: All pods of the cluster, since any may be a peer.
        namespaces: All namespaces, for their labels.
        policies: All NetworkPolicies (networking.k8s.io/v1).

    Returns:
        The text; the same for the same objects, whatever order they come in.
    """
    everyone = endpoints(pods, namespaces)
    ordered = sorted(policies, key=key_of)
    lines = [line for direction in (INGRESS, EGRESS) for line in _isolation(node, direction, everyone, ordered)]
    return "".join([_START, *(f"\t{line}\n" for line in lines), _HOOKS, _END])


def _isolation(
    node: str, direction: Direction, everyone: Sequence[Endpoint], policies: Iterable[Object]
) -> Iterator[str]:
    """Yield a chain for each policy that isolates pods of this node, one for each such pod, and a map to these."""
    jumps: dict[Address, list[str]] = {}
    for policy in policies:
        selected = [one for one in everyone if one.node == node and selects(policy, direction, one)]
        if not selected:
            continue
        for endpoint in selected:
            jumps.setdefault(endpoint.address, []).append(f"jump {_policy_chain(policy, direction)}")
        yield f"# {'/'.join(key_of(policy))}"
        yield from _chain(_policy_chain(policy, direction), accepting(policy, direction, selected, everyone))
    for address, policy_jumps in jumps.items():
        # No policy keeps a pod from itself, but what it sends itself through a Service passes its own chain.
        itself = f"{FAMILIES[address.version]} {direction.peer_address} {address} accept"
        yield from _chain(_pod_chain(address, direction), [itself, *policy_jumps, "counter drop"])
    for version in FAMILIES:
        yield from _verdicts(direction, version, [address for address in jumps if address.version == version])


def _policy_chain(policy: Object, direction: Direction) -> str:
    # Namespace and name together can be longer than a chain's name (255 bytes).
    return f"{direction.rules}-policy-{policy['metadata']['uid']}"


def _pod_chain(address: Address, direction: Direction) -> str:
    # A name must not have colons.
    return f"{direction.rules}-{str(address).replace(':', '.')}"


def _chain(name: str, rules: Iterable[str]) -> Iterator[str]:
    yield f"chain {name} {{"
    yield from (f"\t{rule}" for rule in rules)
    yield "}"


def _verdicts(direction: Direction, version: int, addresses: Collection[Address]) -> Iterator[str]:
    yield f"map {direction.rules}{version} {{"
    yield f"\ttype ipv{version}_addr : verdict"
    if addresses:
        jumps = [f"{address} : jump {_pod_chain(address, direction)}" for address in sorted(addresses, key=order)]
        yield f"\telements = {{ {', '.join(jumps)} }}"
    yield "}"
