"""Builders of every object that belongs to a managed storage. Pure: arguments in, Kubernetes JSON out.

Each builder gives the fields that are ours and no others, because that is what server-side apply then owns.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shared import credentials, names, valkey_config
from shared.toolhive import PROXY_NAMES
from shared.workload import labels_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.endpoint import Endpoint
    from shared.external_store import Credentials
    from shared.keyring import KeyRing
    from shared.resources import Object

_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""Label that the API server puts on every namespace."""
ROLE_PRIMARY: Final = "primary"
ROLE_REPLICA: Final = "replica"
ROLES: Final = (ROLE_PRIMARY, ROLE_REPLICA)
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Storage:
    """The part of a SessionStorage that its children depend on."""

    name: str
    namespace: str
    uid: str

    def metadata(self, name: str) -> Object:
        """Metadata of a child: found by label, and deleted with its storage."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": labels_of(self.name),
            "ownerReferences": [
                {
                    "apiVersion": f"{names.GROUP}/v1alpha1",
                    "kind": "SessionStorage",
                    "name": self.name,
                    "uid": self.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        }


@dataclass(frozen=True, slots=True)
class Peers:
    """Who may reach a storage besides the consumers in its own namespace.

    Attributes:
        reconciler_namespace: Where the reconciler runs.
        reconciler_labels: Labels of its pods.
    """

    reconciler_namespace: str
    reconciler_labels: Mapping[str, str]


def auth_secret(storage: Storage, ring: KeyRing, annotations: Mapping[str, str] = _NONE) -> Object:
    """Build the source of truth: every password, and the ACL file that is made from them.

    Args:
        storage: Whose.
        ring: The passwords.
        annotations: What else there is to remember about them.
    """
    metadata = storage.metadata(names.auth_secret(storage.name))
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, "type": "Opaque", "data": credentials.encoded(ring.data)}


def connection_secret(storage: Storage, password: str) -> Object:
    """Build what consumers read: the three keys of the contract, and no more."""
    host = names.valkey_host(storage.name, storage.namespace)
    data = {
        names.KEY_REDIS_URL: f"redis://:{password}@{host}:{names.VALKEY_PORT}",
        names.KEY_REDIS_PASSWORD: password,
        names.KEY_STORAGE_TYPE: "redis",
    }
    metadata = storage.metadata(names.connection_secret(storage.name))
    return {"metadata": metadata, "type": "Opaque", "data": credentials.encoded(data)}


def external_connection_secret(storage: Storage, endpoint: Endpoint, login: Credentials) -> Object:
    """Build what consumers of the user's own store read."""
    user, password = quote(login.username, safe=""), quote(login.password, safe="")
    authority = f"{user}:{password}@" if user or password else ""
    db = f"/{endpoint.db}" if endpoint.db else ""
    values = {
        names.KEY_REDIS_URL: f"{'rediss' if endpoint.is_tls else 'redis'}://{authority}{endpoint.address}{db}",
        names.KEY_REDIS_USERNAME: login.username,
        names.KEY_REDIS_PASSWORD: login.password,
        names.KEY_STORAGE_TYPE: "redis",
        names.KEY_CA: login.ca,
    }
    data = {key: value for key, value in values.items() if value}
    metadata = storage.metadata(names.connection_secret(storage.name))
    return {"metadata": metadata, "type": "Opaque", "data": credentials.encoded(data)}


def mirrored_secret(connection: Object, namespace: str) -> Object:
    """Build the copy of a connection Secret for consumers in another namespace."""
    own = connection["metadata"]
    storage = own["labels"][names.LABEL_STORAGE]
    metadata = {
        "name": names.mirrored_connection_secret(storage, own["namespace"]),
        "namespace": namespace,
        "labels": own["labels"] | {names.LABEL_STORAGE_NAMESPACE: own["namespace"]},
    }
    return {"metadata": metadata, "type": connection["type"], "data": connection["data"]}


def config_map(storage: Storage, primary: int, nodes: Sequence[int]) -> Object:
    """Build the ConfigMap that nodes start by.

    Args:
        storage: Whose.
        primary: Number of the node that takes writes.
        nodes: Numbers of all that there are to be.
    """
    data = {valkey_config.CONFIG_FILE: valkey_config.valkey_conf(), **valkey_config.topology(primary, nodes)}
    return {"metadata": storage.metadata(names.valkey(storage.name)), "data": data}


def network_policy(storage: Storage, peers: Peers, sharing: Sequence[str] = ()) -> Object:
    """Build the NetworkPolicy: consumers, the storage's own nodes and the reconciler come in, nobody else.

    Peers without a namespaceSelector mean the storage's own namespace.

    Args:
        storage: Whose.
        peers: Of the installation.
        sharing: Other namespaces that have consumers.
    """
    own_nodes = _pods({names.LABEL_STORAGE: storage.name})
    consumers = [
        _pods({names.LABEL_COMPONENT: names.COMPONENT_PROXY}),
        {"podSelector": {"matchExpressions": [_any_of("app.kubernetes.io/name", PROXY_NAMES)]}},
        _pods({names.LABEL_CONSUMER_OF: storage.name}),
    ]
    elsewhere = {"namespaceSelector": {"matchExpressions": [_any_of(_NAMESPACE_NAME, sharing)]}}
    ingress = [
        *consumers,
        *({**elsewhere, **consumer} for consumer in consumers if sharing),
        own_nodes,
        {**_namespace(peers.reconciler_namespace), **_pods(dict(peers.reconciler_labels))},
    ]
    valkey_port = [{"protocol": "TCP", "port": names.VALKEY_PORT}]
    dns_ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {
        "metadata": storage.metadata(names.valkey(storage.name)),
        "spec": {
            "podSelector": {"matchLabels": {names.LABEL_STORAGE: storage.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": ingress, "ports": valkey_port}],
            "egress": [
                {"to": [own_nodes], "ports": valkey_port},
                {"to": [{"namespaceSelector": {}}], "ports": dns_ports},
            ],
        },
    }


def primary_service(storage: Storage, node: int) -> Object:
    """Build the one address that consumers know; its selector names the node that is primary."""
    selector = {names.LABEL_STORAGE: storage.name, names.LABEL_NODE: str(node)}
    return {
        "metadata": storage.metadata(names.valkey(storage.name)),
        # publishNotReadyAddresses: kubelet's view lags behind ours, and must not hide a primary that serves.
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": _service_ports(),
            "publishNotReadyAddresses": True,
        },
    }


def replicas_service(storage: Storage) -> Object:
    """Build the Service that reads can be spread over: nodes that follow the primary closely, and are ready for it."""
    selector = {names.LABEL_STORAGE: storage.name, names.LABEL_ROLE: ROLE_REPLICA}
    return {
        "metadata": storage.metadata(names.valkey_replicas(storage.name)),
        "spec": {"type": "ClusterIP", "selector": selector, "ports": _service_ports()},
    }


def headless_service(storage: Storage) -> Object:
    """Build the Service that gives each node a name."""
    selector = {names.LABEL_STORAGE: storage.name}
    return {
        "metadata": storage.metadata(names.valkey_headless(storage.name)),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": selector,
            "ports": _service_ports(),
            "publishNotReadyAddresses": True,
        },
    }


def _service_ports() -> Sequence[Object]:
    return [{"name": "valkey", "protocol": "TCP", "port": names.VALKEY_PORT, "targetPort": names.VALKEY_PORT}]


def _pods(labels: Mapping[str, str]) -> Object:
    return {"podSelector": {"matchLabels": dict(labels)}}


def _namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: name}}}


def _any_of(key: str, values: Sequence[str]) -> Object:
    return {"key": key, "operator": "In", "values": list(values)}
