"""Injects the connection Secret into the environment of a consumer's proxy, by the proxy's Deployment. Pure.

ToolHive's operator compares neither `envFrom` nor additional annotations of a Deployment, so it leaves both. Labels,
`env` or annotations of the pod template would make it rewrite the Deployment for ever
(`cmd/thv-operator/controllers/mcpserver_controller.go`, deploymentNeedsUpdate).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.consumers.identity import Consumer
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.kinds import KINDS, connection_secret_of
from shared.names import ANNOTATION_INJECTION, GROUP
from shared.objects.field_path import Path, put, read, without

if TYPE_CHECKING:
    from shared.objects.resources import Object

_KEPT: Final = ("namespace", "name", "uid", "resourceVersion", "deletionTimestamp", "ownerReferences")
_RECORD: Final = ("metadata", "annotations", ANNOTATION_INJECTION)
_CONTAINERS: Final = ("spec", "template", "spec", "containers")


def owner_of(deployment: Object) -> Consumer | None:
    """Tell which consumer the Deployment is the proxy of; None if no consumer controls it."""
    owners = read(deployment, ("metadata", "ownerReferences"))
    for owner in owners if isinstance(owners, list) else []:
        if not (isinstance(owner, dict) and owner.get("controller") is True):
            continue
        group, _, _ = str(owner.get("apiVersion")).partition("/")
        kind, name = owner.get("kind"), owner.get("name")
        if group == GROUP and isinstance(kind, str) and kind in KINDS and isinstance(name, str):
            return Consumer(kind, str(read(deployment, ("metadata", "namespace")) or ""), name)
    return None


def proxy_secret_of(consumer: Object) -> str | None:
    """Name the Secret that the proxy of a stored consumer reads; None if the proxy is not connected."""
    record = InjectionRecord.of(consumer)
    if record is None or not record.target.has_proxy:
        return None
    return connection_secret_of(record.reference, consumer["metadata"].get("namespace", ""))


def inject_secret(deployment: Object, secret: str | None) -> Object:
    """Add a Secret to the proxy's environment and remove the one that was added before.

    Args:
        deployment: Not changed.
        secret: Name of the connection Secret; None only removes.

    Returns:
        A changed copy; the same object if nothing has to change.
    """
    sources = _sources(deployment)
    if sources is None:
        return deployment
    recorded = read(deployment, _RECORD)
    if isinstance(recorded, str) and recorded != secret:
        deployment = without(without(deployment, (*sources, recorded)), _RECORD)
        if read(deployment, sources) == []:
            deployment = without(deployment, sources)
    if secret is None or read(deployment, (*sources, secret)) is not None:
        return deployment
    return put(put(deployment, (*sources, secret), {"secretRef": {"name": secret}}), _RECORD, secret)


def source_fields_of(deployment: Object) -> Object:
    """Strip a Deployment to what `owner_of` and `inject_secret` read: whole pod templates take much memory."""
    metadata = deployment["metadata"]
    kept = {field: metadata[field] for field in _KEPT if field in metadata}
    containers = (
        {field: container[field] for field in ("name", "envFrom") if field in container}
        for container in read(deployment, _CONTAINERS) or []
    )
    return {
        "metadata": {**kept, "annotations": metadata.get("annotations") or {}},
        "spec": {"template": {"spec": {"containers": list(containers)}}},
    }


def _sources(deployment: Object) -> Path | None:
    """Return the path of the first container's `envFrom`; None if the Deployment has no such place."""
    containers: Any = read(deployment, _CONTAINERS)
    first = containers[0] if isinstance(containers, list) and containers else None
    if not isinstance(first, dict) or not isinstance(first.get("name"), str):
        return None
    annotations = read(deployment, ("metadata", "annotations"))
    if not isinstance(first.get("envFrom"), list | None) or not isinstance(annotations, dict | None):
        return None
    return (*_CONTAINERS, first["name"], "envFrom")
