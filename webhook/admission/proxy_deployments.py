"""Decides how the Deployment of a proxy must change before it is stored. Pure; never refuses anything.

ToolHive's operator writes these Deployments, and no mistake in a reference may stop it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consumers.proxy_deployment import inject_secret, owner_of, proxy_secret_of
from shared.objects.field_path import put, read
from webhook.admission.json_patch import diff
from webhook.admission.review import Allow, Patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.consumers.identity import Consumer
    from shared.objects.resources import Object
    from webhook.admission.review import AdmissionRequest, Decision


def decide(request: AdmissionRequest, find: Callable[[Consumer], Object | None]) -> Decision:
    """Connect the proxy of a consumer that is connected, and disconnect one that no longer is.

    Args:
        request: About a Deployment that may be a proxy's.
        find: Looks up a stored consumer; returns None also for one that is newer than the cache.
    """
    deployment = request.written
    if deployment is None:
        return Allow()
    if read(deployment, ("metadata", "namespace")) is None:
        deployment = put(deployment, ("metadata", "namespace"), request.namespace)
    owner = owner_of(deployment)
    consumer = find(owner) if owner is not None else None
    if consumer is None:
        return Allow()
    operations = diff(deployment, inject_secret(deployment, proxy_secret_of(consumer)))
    return Patch(operations) if operations else Allow()
