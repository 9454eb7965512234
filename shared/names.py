"""Every name, label and annotation that this project writes or reads. Pure.

All names derive from the SessionStorage's own name alone. So the webhook can inject a Secret that does not exist yet,
and the reconciler finds every object of a storage without keeping state.
"""

from __future__ import annotations

import re
from typing import Final

GROUP: Final = "toolhive.stacklok.dev"

ANNOTATION_STORAGE: Final = f"{GROUP}/session-storage"
"""On a consumer: `[namespace/]name` of the storage it uses."""
ANNOTATION_TARGETS: Final = f"{GROUP}/session-storage-targets"
"""On a consumer: which of its parts are connected: `backend`, `proxy`, `all` or `none`."""
ANNOTATION_INJECTION: Final = f"{GROUP}/session-storage-wired"
"""On a consumer: the webhook's record of what it injected (JSON). On a proxy's Deployment: the injected Secret."""
ANNOTATION_FORCE_DELETE: Final = f"{GROUP}/force-delete"
"""On a storage: `true` allows its deletion while consumers use it."""
ANNOTATION_ROTATE_CERTIFICATES: Final = f"{GROUP}/rotate-certificates"
"""On the serving Secret: each new value makes the reconciler replace the webhook's CA and certificate once."""
ANNOTATION_CERTIFICATES_ROTATED: Final = f"{GROUP}/certificates-rotated"
"""On the CA Secret: the last value of `rotate-certificates` that the reconciler has carried out."""
ANNOTATION_ROTATE: Final = f"{GROUP}/rotate-secret"
"""On a storage: each new value makes the reconciler change its passwords once."""
ANNOTATION_ROTATE_FORCE: Final = f"{GROUP}/rotate-force"
"""On a storage: the revision whose rotation ends without waiting for the remaining consumers."""
ANNOTATION_ROTATION: Final = f"{GROUP}/rotation"
"""On the Secret that a rotation changes: the record of that rotation (JSON)."""
ANNOTATION_REVISION: Final = f"{GROUP}/credential-revision"
"""On a consumer and its pods: the revision of the credential with which they start."""
ANNOTATION_AUTH_REVISION: Final = f"{GROUP}/auth-credential-revision"
"""On what runs the auth server of an MCPExternalAuthConfig, and on its pods: the revision of its credential."""
ANNOTATION_TEMPLATE_HASH: Final = f"{GROUP}/template-hash"
"""On Valkey's pods: hash of everything that determines the pod; a pod with another hash is outdated."""
ANNOTATION_PLACEMENT_HASH: Final = f"{GROUP}/placement-hash"
"""On Valkey's pods: hash of what decides where the scheduler puts the pod, and how kubelet gets its image."""
ANNOTATION_INSTANCES: Final = f"{GROUP}/instances"
"""On Valkey's pods: for how many instances of the storage the pod was made."""
ANNOTATION_INHERITED: Final = f"{GROUP}/inherited"
"""On the objects of a storage: which labels and annotations they have from `spec.inheritedMetadata` (JSON)."""
ANNOTATION_PRIMARY: Final = f"{GROUP}/primary"
"""On the Service of a storage: the claim of a change of its primary (JSON). On its EndpointSlice: the last change."""
ANNOTATION_SWITCHOVER: Final = f"{GROUP}/switchover"
"""On a storage: each new value makes the reconciler move its primary to another instance once."""
ANNOTATION_PROMOTE: Final = f"{GROUP}/promote"
"""On a storage whose failover is blocked: `<instance>@<incident>`, a consent to go on with an instance in one incident.
The instance is the name of its StatefulSet; the condition `FailoverBlocked` names the incident."""
ANNOTATION_REPLICAS: Final = f"{GROUP}/replicas-before-handover"
"""On the reconciler's Deployment, while a handover has stopped it: how many pods it had."""
ANNOTATION_ADOPT: Final = f"{GROUP}/adopt"
"""On a storage: the UIDs, separated by commas, of the objects of a backup or a former storage that it takes over."""
ANNOTATION_LOG_LEVEL: Final = f"{GROUP}/log-level"
"""On a storage: `<level>@<end>`, so much the reconciler logs of it until then."""

LABEL_STORAGE: Final = f"{GROUP}/storage"
"""On every object that belongs to a storage: the storage's name."""
LABEL_STORAGE_NAMESPACE: Final = f"{GROUP}/storage-namespace"
"""On a copy of a connection Secret in a consumer's namespace: the namespace of its storage."""
LABEL_INSTANCE: Final = f"{GROUP}/node"
"""On Valkey's pods: which instance of the storage the pod is. On the Service's EndpointSlice: which is primary."""
LABEL_ROLE: Final = f"{GROUP}/role"
"""On Valkey's pods, for people and PodDisruptionBudgets: `primary` or `replica`."""
LABEL_SIZE: Final = f"{GROUP}/size"
LABEL_CONSUMER_OF: Final = f"{GROUP}/session-storage"
"""On backend pods that read the connection Secret: the storage's name."""
LABEL_COMPONENT: Final = f"{GROUP}/component"
COMPONENT_PROXY: Final = "proxy"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "toolhive-session-storage"
LABEL_APP_INSTANCE: Final = "app.kubernetes.io/instance"
"""On the objects of a storage: its name. GitOps tools may track what they deploy by it."""

FIELD_MANAGER: Final = "toolhive-session-storage"
FIELD_MANAGER_STATUS: Final = "toolhive-session-storage-status"
FIELD_MANAGER_CRD: Final = "toolhive-session-storage-crd-extension"
FIELD_MANAGER_CERTIFICATES: Final = "toolhive-session-storage-certificates"

VALKEY_PORT: Final = 6379
MAX_STORAGE_NAME: Final = 40
"""A StatefulSet's name and its 11-character revision hash share a 63-character label value, and
`-valkey-NN` takes 10 of the rest."""

KEY_PASSWORD: Final = "password"
KEY_USERNAME: Final = "username"
KEY_CA: Final = "ca.crt"
KEY_USERS_ACL: Final = "users.acl"
KEY_REDIS_URL: Final = "REDIS_URL"
KEY_REDIS_USERNAME: Final = "REDIS_USERNAME"
KEY_REDIS_PASSWORD: Final = "REDIS_PASSWORD"
KEY_STORAGE_TYPE: Final = "SESSION_STORAGE_TYPE"
OPEN_CONNECTION_KEYS: Final = frozenset({KEY_REDIS_URL, KEY_STORAGE_TYPE})
"""Keys in the connection Secret of an external storage without a password."""
CONNECTION_KEYS: Final = OPEN_CONNECTION_KEYS | {KEY_REDIS_PASSWORD}
"""Keys in the connection Secret of a managed storage."""
EXTERNAL_CONNECTION_KEYS: Final = CONNECTION_KEYS | {KEY_REDIS_USERNAME, KEY_CA}
"""All keys that the connection Secret of an external storage may have."""


def auth_secret(storage: str) -> str:
    """Name of the Secret that is the source of truth for a storage's passwords."""
    return f"{storage}-auth"


def connection_secret(storage: str) -> str:
    """Name of the Secret that consumers in the storage's own namespace read."""
    return f"{storage}-connection"


def pull_secret(storage: str, source: str) -> str:
    """Name of a storage's copy of a Secret with registry credentials.

    It has two dots at least. No name of another Secret of this product has more than one.
    """
    return f"{storage}.pull.{source}"


def is_pull_secret(storage: str, name: str) -> bool:
    """Tell whether a Secret is called like one of a storage's copies of registry credentials."""
    return name.startswith(pull_secret(storage, ""))


def mirrored_connection_secret(storage: str, storage_namespace: str) -> str:
    """Name of the connection Secret's copy beside a consumer in another namespace.

    Neither namespaces nor storages have dots in their names, so it cannot collide with a local storage's Secret.
    """
    return f"{storage_namespace}.{storage}-connection"


def valkey(storage: str) -> str:
    """Name of the Service, NetworkPolicy and ConfigMap of a storage; never the bare storage name."""
    return f"{storage}-valkey"


def valkey_slice(storage: str, family: str, *, is_first: bool) -> str:
    """Name of the EndpointSlice of one IP family; that of the Service's first family has the Service's name."""
    return valkey(storage) if is_first else f"{valkey(storage)}-{family.lower()}"


def valkey_replicas(storage: str) -> str:
    """Name of the Service that spreads reads over the replicas."""
    return f"{storage}-valkey-replicas"


def valkey_budget(storage: str, role: str) -> str:
    """Name of the PodDisruptionBudget of the instances in a role."""
    return f"{storage}-valkey-{role}"


def valkey_headless(storage: str) -> str:
    """Name of the headless Service that gives each Valkey instance a DNS name."""
    return f"{storage}-valkey-nodes"


def valkey_instance(storage: str, instance: int) -> str:
    """Name of the one-replica StatefulSet that is one Valkey instance."""
    return f"{storage}-valkey-{instance}"


def instance_index(workload: str) -> int:
    """Tell the number of a Valkey instance by the name of its StatefulSet, which must be one of ours."""
    return int(workload.rpartition("-")[2])


def instance_of(storage: str, workload: str) -> int | None:
    """Tell the number of a storage's instance by the name of a StatefulSet; None if no instance is called so."""
    number = workload.rpartition("-")[2]
    is_ours = number.isascii() and number.isdigit() and workload == valkey_instance(storage, int(number))
    return int(number) if is_ours else None


def instance_pod(workload: str) -> str:
    """Name of the pod of a Valkey instance, by the name of its StatefulSet."""
    return f"{workload}-0"


def valkey_pod(storage: str, instance: int) -> str:
    """Name of the pod of a Valkey instance."""
    return instance_pod(valkey_instance(storage, instance))


def valkey_claim(storage: str, instance: int) -> str:
    """Name of the claim on a Valkey instance's volume."""
    return f"data-{valkey_pod(storage, instance)}"


def claim_index(storage: str, claim: str) -> int | None:
    """Tell which instance of a storage a claim is for, by the claim's name; None if it is for none."""
    number = claim.removeprefix(valkey_claim(storage, 0).removesuffix("0-0")).removesuffix("-0")
    index = int(number) if number.isascii() and number.isdecimal() else None
    return index if index is not None and valkey_claim(storage, index) == claim else None


def valkey_host(storage: str, namespace: str) -> str:
    """Address of a storage's primary, without the cluster's domain, which differs between clusters."""
    return f"{valkey(storage)}.{namespace}.svc"


_SESSION_OWNERS: Final = {"MCPServer": "proxy", "MCPRemoteProxy": "remoteproxy", "VirtualMCPServer": "vmcp"}
_KEY_PREFIX: Final = re.compile(rf"thv:({'|'.join(_SESSION_OWNERS.values())}):session:\{{[^{{}}]*:[^{{}}]*\}}:")


def key_prefix(kind: str, namespace: str, consumer: str) -> str:
    """Prefix of a consumer's session keys; it is unique, and ends in `:` as ToolHive's proxies demand.

    Consumers of different kinds may have the same name; one that wrote the other's keys would redirect its sessions.
    Source: ToolHive `pkg/transport/session/storage_redis.go`.
    """
    return f"thv:{_SESSION_OWNERS[kind]}:session:{{{namespace}:{consumer}}}:"


def is_key_prefix(text: str) -> bool:
    """Tell whether a text begins with the prefix of some consumer's session keys, as `key_prefix` makes them."""
    return _KEY_PREFIX.match(text) is not None


ROLE_PRIMARY: Final = "primary"
ROLE_REPLICA: Final = "replica"
ROLES: Final = (ROLE_PRIMARY, ROLE_REPLICA)
