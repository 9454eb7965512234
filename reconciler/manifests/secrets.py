"""Builds the Secrets of a storage. Pure.

Each builder gives the fields that the reconciler decides and no others, because server-side apply then owns these.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from reconciler.credentials import identities
from reconciler.manifests.storage import labels_of
from shared import names

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from reconciler.credentials.key_ring import KeyRing
    from reconciler.credentials.login import Credentials
    from reconciler.manifests.storage import Storage
    from shared.objects.resources import Object
    from shared.session_storage.endpoint import Endpoint

_REGISTRY_KEYS: Final = frozenset({".dockerconfigjson", ".dockercfg"})
"""Keys that kubelet reads of a Secret with registry credentials; each of its two types has one."""


def auth_secret(storage: Storage, ring: KeyRing, annotations: Mapping[str, str] = MappingProxyType({})) -> Object:
    """Build the auth Secret: every password, the ACL file that accepts them, and the annotations to keep."""
    metadata = storage.secret_metadata(names.auth_secret(storage.name))
    if annotations:
        metadata["annotations"] = {**metadata.get("annotations", {}), **annotations}
    return {"metadata": metadata, "type": "Opaque", "data": identities.encoded(ring.data)}


def connection_secret(storage: Storage, password: str) -> Object:
    """Build the connection Secret, which consumers read: the three keys of the contract, and no more."""
    host = names.valkey_host(storage.name, storage.namespace)
    data = {
        names.KEY_REDIS_URL: f"redis://:{password}@{host}:{names.VALKEY_PORT}",
        names.KEY_REDIS_PASSWORD: password,
        names.KEY_STORAGE_TYPE: "redis",
    }
    metadata = storage.secret_metadata(names.connection_secret(storage.name))
    return {"metadata": metadata, "type": "Opaque", "data": identities.encoded(data)}


def external_connection_secret(storage: Storage, endpoint: Endpoint, login: Credentials) -> Object:
    """Build the connection Secret of an external storage."""
    user, password = quote(login.username, safe=""), quote(login.password, safe="")
    authority = f"{user}:{password}@" if user or password else ""
    values = {
        names.KEY_REDIS_URL: endpoint.url_with(authority),
        names.KEY_REDIS_USERNAME: login.username,
        names.KEY_REDIS_PASSWORD: login.password,
        names.KEY_STORAGE_TYPE: "redis",
        names.KEY_CA: login.ca,
    }
    data = {key: value for key, value in values.items() if value}
    metadata = storage.secret_metadata(names.connection_secret(storage.name))
    return {"metadata": metadata, "type": "Opaque", "data": identities.encoded(data)}


def kept_connection_secret(storage: Storage, present: Object) -> Object:
    """Build a connection Secret that hands out what the present one does, and nothing that others added."""
    metadata = storage.secret_metadata(names.connection_secret(storage.name))
    return {"metadata": metadata, **_content(present, names.EXTERNAL_CONNECTION_KEYS)}


def mirrored_secret(connection: Object, namespace: str) -> Object:
    """Build the copy of a connection Secret, as the reconciler builds that one, for consumers in another namespace.

    It says whose copy it is, and has no label by which a GitOps tool takes it for a part of an application: no owner
    keeps such a tool from deleting it. So it does not inherit what the objects of the storage do.
    """
    own = connection["metadata"]
    storage = own["labels"][names.LABEL_STORAGE]
    labels = {key: value for key, value in labels_of(storage).items() if key != names.LABEL_APP_INSTANCE}
    metadata = {
        "name": names.mirrored_connection_secret(storage, own["namespace"]),
        "namespace": namespace,
        "labels": labels | {names.LABEL_STORAGE_NAMESPACE: own["namespace"]},
    }
    return {"metadata": metadata, **_content(connection, names.EXTERNAL_CONNECTION_KEYS)}


def pull_secret(storage: Storage, source: Object) -> Object:
    """Build a storage's copy of a Secret with registry credentials, for the pods beside it."""
    metadata = storage.secret_metadata(names.pull_secret(storage.name, source["metadata"]["name"]))
    return {"metadata": metadata, **_content(source, _REGISTRY_KEYS)}


def _content(secret: Object, keys: Container[str]) -> Object:
    """Take what a Secret holds under these keys, and its type; the API server drops `data` if somebody emptied it.

    A copy never takes other keys along: backends read a connection Secret whole, as variables of their environment.
    """
    content: Object = {key: secret[key] for key in ("type", "data") if key in secret}
    if data := content.get("data"):
        content["data"] = {key: value for key, value in data.items() if key in keys}
    return content
