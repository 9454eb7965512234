"""Builds the Services of a storage, and the EndpointSlices of the primary's. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.state.primary_service import SERVICE_OF, WRITTEN_BY, endpoints_at
from shared import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.manifests.storage import Storage
    from reconciler.state.instance import Instance
    from reconciler.state.primary_record import PrimaryRecord
    from shared.objects.resources import Object

_PORT: Final = "valkey"
"""An EndpointSlice's port belongs to the Service's port of the same name."""


def primary_service(storage: Storage, record: PrimaryRecord | None = None) -> Object:
    """Build the one address that consumers know; its EndpointSlices say where the primary is.

    Without a record, the Service keeps the one that it has.
    """
    # publishNotReadyAddresses: some programs that read Services heed it even beside EndpointSlices.
    spec = _spec(None, publishNotReadyAddresses=True)
    service: Object = {"metadata": storage.metadata(names.valkey(storage.name)), "spec": spec}
    return record.put_on(service) if record is not None else service


def primary_slices(
    storage: Storage,
    families: Sequence[str],
    primary: Instance,
    record: PrimaryRecord | None = None,
    *,
    is_held: bool = False,
) -> Iterator[Object]:
    """Build the EndpointSlices that send clients to the primary, one for each IP family of the Service.

    The first one keeps the record of the last change if none is given. A primary whose pod is ending gets no clients,
    unless the reconciler holds it until another instance takes over.
    """
    for family in families:
        is_first = family == families[0]
        metadata = storage.metadata(names.valkey_slice(storage.name, family, is_first=is_first))
        metadata["labels"] |= {
            SERVICE_OF: names.valkey(storage.name),
            WRITTEN_BY: names.MANAGED_BY,
            names.LABEL_INSTANCE: str(primary.index),
        }
        endpoint_slice: Object = {
            "metadata": metadata,
            "addressType": family,
            "ports": [{"name": _PORT, "protocol": "TCP", "port": names.VALKEY_PORT}],
            "endpoints": endpoints_at(primary, family, is_held=is_held),
        }
        yield record.put_on(endpoint_slice) if record is not None and is_first else endpoint_slice


def replicas_service(storage: Storage) -> Object:
    """Build the Service that spreads reads over replicas that are ready."""
    spec = _spec({names.LABEL_STORAGE: storage.name, names.LABEL_ROLE: names.ROLE_REPLICA})
    return {"metadata": storage.metadata(names.valkey_replicas(storage.name)), "spec": spec}


def headless_service(storage: Storage) -> Object:
    """Build the Service that gives each instance a name."""
    spec = _spec({names.LABEL_STORAGE: storage.name}, clusterIP="None", publishNotReadyAddresses=True)
    return {"metadata": storage.metadata(names.valkey_headless(storage.name)), "spec": spec}


def _spec(selector: Mapping[str, str] | None, **further: object) -> Object:
    """Open Valkey's port to the pods that a selector finds; without one, EndpointSlices say where to go."""
    port = {"name": _PORT, "protocol": "TCP", "port": names.VALKEY_PORT, "targetPort": names.VALKEY_PORT}
    return {"type": "ClusterIP", **({"selector": dict(selector)} if selector else {}), "ports": [port], **further}
