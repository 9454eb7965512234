"""Builds the NetworkPolicy of a storage, which says who may reach its Valkey. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.manifests.network_policy_settings import NetworkPolicySettings
from shared import names
from shared.consumers.toolhive import PROXY_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.manifests.storage import Storage
    from shared.objects.resources import Object


NOTHING_ADDED: Final = NetworkPolicySettings()
_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""Label that the API server puts on every namespace."""
_DNS_PORTS: Final = (53, 5353)
"""Where DNS answers. A policy engine sees the port of the pod behind the Service: CoreDNS listens on 53,
OpenShift's DNS pods listen on 5353."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Who may reach a storage besides the consumers in its own namespace: the reconciler's pods."""

    reconciler_namespace: str
    reconciler_labels: Mapping[str, str]


def network_policy(
    storage: Storage, peers: Peers, sharing: Sequence[str] = (), settings: NetworkPolicySettings = NOTHING_ADDED
) -> Object:
    """Build the NetworkPolicy: it admits consumers, the storage's own instances and the reconciler, and nobody else.

    A peer without a namespaceSelector is in the storage's own namespace.

    Args:
        storage: The storage.
        peers: Pods of this product that may reach it.
        sharing: Other namespaces that have consumers.
        settings: Further rules of a platform team.
    """
    own_instances = _pods({names.LABEL_STORAGE: storage.name})
    consumers = [
        _pods({names.LABEL_COMPONENT: names.COMPONENT_PROXY}),
        {"podSelector": {"matchExpressions": [_any_of("app.kubernetes.io/name", PROXY_NAMES)]}},
        _pods({names.LABEL_CONSUMER_OF: storage.name}),
    ]
    elsewhere = {"namespaceSelector": {"matchExpressions": [_any_of(_NAMESPACE_NAME, sharing)]}}
    ingress = [
        *consumers,
        *({**elsewhere, **consumer} for consumer in consumers if sharing),
        own_instances,
        {
            "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: peers.reconciler_namespace}},
            **_pods(peers.reconciler_labels),
        },
    ]
    valkey_port = [{"protocol": "TCP", "port": names.VALKEY_PORT}]
    dns_ports = [{"protocol": protocol, "port": port} for port in _DNS_PORTS for protocol in ("UDP", "TCP")]
    return {
        "metadata": storage.metadata(names.valkey(storage.name)),
        "spec": {
            "podSelector": {"matchLabels": {names.LABEL_STORAGE: storage.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": ingress, "ports": valkey_port},
                *(rule.to_object() for rule in settings.extra_ingress),
            ],
            "egress": [
                {"to": [own_instances], "ports": valkey_port},
                # To anywhere: NodeLocal DNSCache answers from the node's own network, and other servers answer from
                # outside the cluster. No selector of pods matches those.
                {"ports": dns_ports},
                *(rule.to_object() for rule in settings.extra_egress),
            ],
        },
    }


def _pods(labels: Mapping[str, str]) -> Object:
    return {"podSelector": {"matchLabels": dict(labels)}}


def _any_of(key: str, values: Sequence[str]) -> Object:
    return {"key": key, "operator": "In", "values": list(values)}
