"""Builds the Services of a storage. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.manifests.storage import Storage
    from reconciler.state.primary_record import PrimaryRecord
    from shared.objects.resources import Object


def primary_service(storage: Storage, primary: int, record: PrimaryRecord | None = None) -> Object:
    """Build the one address that consumers know; its selector names the instance that is primary.

    Without a record to begin with, the Service keeps the record that it has.
    """
    # publishNotReadyAddresses: kubelet, which learns later than the reconciler that a primary serves, must not hide it.
    spec = _spec(storage, {names.LABEL_INSTANCE: str(primary)}, publishNotReadyAddresses=True)
    annotations = {"annotations": {names.ANNOTATION_PRIMARY: record.text}} if record is not None else {}
    return {"metadata": {**storage.metadata(names.valkey(storage.name)), **annotations}, "spec": spec}


def replicas_service(storage: Storage) -> Object:
    """Build the Service that spreads reads over replicas that are ready."""
    spec = _spec(storage, {names.LABEL_ROLE: names.ROLE_REPLICA})
    return {"metadata": storage.metadata(names.valkey_replicas(storage.name)), "spec": spec}


def headless_service(storage: Storage) -> Object:
    """Build the Service that gives each instance a name."""
    spec = _spec(storage, {}, clusterIP="None", publishNotReadyAddresses=True)
    return {"metadata": storage.metadata(names.valkey_headless(storage.name)), "spec": spec}


def _spec(storage: Storage, selector: Mapping[str, str], **further: object) -> Object:
    """Select pods of a storage."""
    port = {"name": "valkey", "protocol": "TCP", "port": names.VALKEY_PORT, "targetPort": names.VALKEY_PORT}
    return {
        "type": "ClusterIP",
        "selector": {names.LABEL_STORAGE: storage.name, **selector},
        "ports": [port],
        **further,
    }
