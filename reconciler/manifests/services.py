"""Builds the Services of a storage. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifests.storage import Storage
    from reconciler.state.primary_record import PrimaryRecord
    from shared.objects.resources import Object


def primary_service(storage: Storage, primary: int, record: PrimaryRecord | None = None) -> Object:
    """Build the one address that consumers know; its selector names the instance that is primary.

    Args:
        storage: Whose.
        primary: Number of the instance.
        record: To begin with; None leaves the record that the Service has.
    """
    selector = {names.LABEL_STORAGE: storage.name, names.LABEL_INSTANCE: str(primary)}
    annotations = {"annotations": {names.ANNOTATION_PRIMARY: record.text}} if record is not None else {}
    return {
        "metadata": {**storage.metadata(names.valkey(storage.name)), **annotations},
        # publishNotReadyAddresses: kubelet learns later than the reconciler that a primary serves; it must not hide it.
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": _service_ports(),
            "publishNotReadyAddresses": True,
        },
    }


def replicas_service(storage: Storage) -> Object:
    """Build the Service that spreads reads over replicas that are ready."""
    selector = {names.LABEL_STORAGE: storage.name, names.LABEL_ROLE: names.ROLE_REPLICA}
    return {
        "metadata": storage.metadata(names.valkey_replicas(storage.name)),
        "spec": {"type": "ClusterIP", "selector": selector, "ports": _service_ports()},
    }


def headless_service(storage: Storage) -> Object:
    """Build the Service that gives each instance a name."""
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
