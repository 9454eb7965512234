"""Writes what the planner decides. It creates the private keys, and stores them in a Secret and nowhere else.

Every write has a precondition: a leader that slept while another took over changes nothing when it wakes up.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs import metrics
from certs.pki import issue
from certs.pki.pem import KEY_BUNDLE, SECRET_TYPE, encoded
from certs.rotation import events
from certs.rotation.actions import IssueAuthority, IssueServing, StoreAuthorities, StoreBundle
from certs.rotation.ca_bundles import PublishBundle
from certs.rotation.ca_secret import Authorities
from shared import errors
from shared.counting import from_zero
from shared.names import ANNOTATION_CERTIFICATES_ROTATED, FIELD_MANAGER_CERTIFICATES, LABEL_MANAGED_BY, MANAGED_BY
from shared.objects.resources import SECRETS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from certs.rotation.actions import Action, CertificateSpec
    from certs.rotation.ca_bundles import WebhookConfiguration
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.events import EventNote
    from shared.objects.resources import Key, Object

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SecretCache:
    """The cache of one Secret."""

    key: Key
    informer: Informer

    @property
    def secret(self) -> Object | None:
        """The Secret, if there is one."""
        return self.informer.get(self.key)


@dataclass(frozen=True, slots=True)
class Caches:
    """The caches of all objects that the applier writes."""

    authority: SecretCache
    serving: SecretCache
    configurations: Mapping[WebhookConfiguration, Informer]


class Applier:
    """Writes the CA Secret, the serving Secret and every `caBundle`."""

    def __init__(self, cluster: Cluster, caches: Caches, spec: CertificateSpec) -> None:
        self._cluster = cluster
        self._caches = caches
        self._spec = spec
        self._published: dict[WebhookConfiguration, bytes] = {}
        from_zero(metrics.REPAIRS, map(str, caches.configurations))

    async def carry_out(self, action: Action, now: datetime) -> EventNote | None:
        """Carry an action out, unless somebody else has written meanwhile; return the Event to record, if any.

        Raises:
            ClusterError: The API server refused the write or did not answer.
        """
        match action:
            case IssueAuthority():
                return await self._issue_authority(action, now)
            case StoreAuthorities(authorities, phase):
                is_stored = await self._store_authorities(authorities)
                return events.phase_started(phase) if is_stored else None
            case IssueServing(authority, bundle, reasons):
                pair = issue.issue_serving(authority, self._spec.dns_names, now, self._spec.lifetimes)
                if not await self._store(self._caches.serving, {**pair.entries(), KEY_BUNDLE: encoded(bundle)}):
                    return None
                metrics.ISSUED.labels(metrics.Issued.SERVING).inc()
                return events.leaf_issued(pair, reasons)
            case StoreBundle(bundle):
                data = (self._caches.serving.secret or {}).get("data") or {}
                await self._store(self._caches.serving, {**data, KEY_BUNDLE: encoded(bundle)})
                return None
            case PublishBundle():
                return await self._publish(action)

    async def _issue_authority(self, action: IssueAuthority, now: datetime) -> EventNote | None:
        pair = issue.issue_authority(now, lifetimes=self._spec.lifetimes)
        predecessor = action.predecessor
        if predecessor is None:
            authorities = Authorities(pair, retired=action.retired, handled_request=action.handled_request)
        else:
            authorities = Authorities(predecessor.current, pair, predecessor.retired, action.handled_request)
        if not await self._store_authorities(authorities):
            return None
        metrics.ISSUED.labels(metrics.Issued.AUTHORITY).inc()
        return events.authority_issued(pair, action.reasons, is_successor=predecessor is not None)

    async def _store_authorities(self, authorities: Authorities) -> bool:
        request = authorities.handled_request
        annotations = {ANNOTATION_CERTIFICATES_ROTATED: request} if request else {}
        return await self._store(self._caches.authority, authorities.content(), annotations)

    async def _store(
        self, cache: SecretCache, data: Mapping[str, str], annotations: Mapping[str, str] | None = None
    ) -> bool:
        namespace, name = cache.key
        cached = cache.secret
        try:
            if cached is None:
                stored = await self._cluster.create(SECRETS, _secret(cache.key, data, annotations or {}))
            else:
                stored = await self._cluster.replace(SECRETS, _updated(cached, data, annotations or {}))
        except (errors.AlreadyExists, errors.Conflict):
            _log.info("somebody else wrote the Secret first", extra={"secret": name})
            cache.informer.remember(await self._cluster.get(SECRETS, namespace, name))
            return False
        cache.informer.remember(stored)
        return True

    async def _publish(self, action: PublishBundle) -> EventNote | None:
        configuration = action.configuration
        informer = self._caches.configurations[configuration]
        cached = informer.objects["", configuration.name]["metadata"]
        bundle = {"caBundle": encoded(action.bundle)}
        # Without the uid, apply would create a configuration again that somebody has deleted.
        metadata = {field: cached[field] for field in ("name", "uid", "resourceVersion")}
        webhooks = [{"name": webhook, "clientConfig": bundle} for webhook in action.webhooks]
        applied: Object = {"metadata": metadata, "webhooks": webhooks}
        try:
            stored = await self._cluster.apply(
                configuration.resource, applied, field_manager=FIELD_MANAGER_CERTIFICATES
            )
        except errors.Conflict:
            _log.info("somebody else wrote caBundle first", extra={"configuration": str(configuration)})
            informer.remember(await self._cluster.get(configuration.resource, "", configuration.name))
            return None
        informer.remember(stored)
        is_repair = self._published.get(configuration) == action.bundle
        self._published[configuration] = action.bundle
        _log.info("published the CA bundle", extra={"configuration": str(configuration)})
        if not is_repair:
            return None
        metrics.REPAIRS.labels(str(configuration)).inc()
        return events.bundle_restored(str(configuration))


def _secret(key: Key, data: Mapping[str, str], annotations: Mapping[str, str]) -> Object:
    namespace, name = key
    labels = {LABEL_MANAGED_BY: MANAGED_BY}
    metadata = {"namespace": namespace, "name": name, "labels": labels, "annotations": dict(annotations)}
    return {"metadata": metadata, "type": SECRET_TYPE, "data": dict(data)}


def _updated(cached: Object, data: Mapping[str, str], annotations: Mapping[str, str]) -> Object:
    kept = cached["metadata"].get("annotations") or {}
    return {**cached, "metadata": {**cached["metadata"], "annotations": {**kept, **annotations}}, "data": dict(data)}
