"""Starts the webhook: `python -m webhook`. Everything is wired together here and nowhere else."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import uvloop

from certs.pki import validation
from shared import errors
from shared.consumers.toolhive import CONSUMER_RESOURCES, reference_fields_of
from shared.consumers.usage_index import ConsumerIndex
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.kubernetes.keeping import Keeping
from shared.kubernetes.namespaces import WatchedNamespaces
from shared.objects.resources import CONFIG_MAPS, NAMESPACES, SECRETS, SESSION_STORAGES
from shared.process import json_log, probes
from webhook import server
from webhook.access_reviews import AccessReviews
from webhook.admission import proxy_deployments
from webhook.consumer_handler import ConsumerHandler
from webhook.deadlines import Deadlines
from webhook.deletion_handler import DeletionHandler
from webhook.http.listener import Listener
from webhook.serving_certificate import ServingCertificate
from webhook.session_storage_handler import SessionStorageHandler
from webhook.settings import Settings
from webhook.storage_lookup import StorageLookup
from webhook.suspension import CHECK_SECONDS, SuspensionDetector

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.consumers.identity import Consumer
    from shared.objects.resources import Object
    from webhook.admission.review import AdmissionRequest, Decision

_log = logging.getLogger("webhook")


def main() -> int:
    """Run until SIGTERM."""
    try:
        settings = Settings.from_environ(os.environ)
    except errors.InvalidSettings as error:
        sys.stderr.write(f"webhook: {error}\n")
        return 2
    json_log.configure("webhook", settings.log_level)
    uvloop.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await Cluster.connect(user_agent="toolhive-session-storage-webhook") as cluster:
        await _Process(cluster, settings).run(stop)


class _Process:
    """All parts of the webhook, wired together."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._settings = settings
        # API servers judge the certificate by their clock.
        name = validation.dns_names(settings.service, settings.namespace)[:1]
        asks_clients = settings.client_ca is not None
        self._certificate = ServingCertificate(name, cluster.clock.now, asks_clients=asks_clients)
        own_secret = Selector(namespace=settings.namespace, fields=f"metadata.name={settings.tls_secret}")
        self._secrets = Informer(cluster, SECRETS, self._certificate.on_change, selector=own_secret)
        self._authorities = _authorities(cluster, settings, self._certificate)
        watched = WatchedNamespaces(settings.watch_namespaces)
        self._storages = watched.informer(cluster, SESSION_STORAGES)
        self._namespaces = watched.informer(
            cluster, NAMESPACES, keep=Keeping(lambda obj: {"metadata": obj["metadata"]})
        )
        self._index = ConsumerIndex()
        self._consumers = {
            resource.kind: watched.informer(cluster, resource, self._index.on_change, keep=Keeping(reference_fields_of))
            for resource in CONSUMER_RESOURCES
        }
        deadlines = Deadlines(settings.answer_seconds)
        access_reviews = AccessReviews(cluster, deadlines.access_seconds)
        lookup = StorageLookup(cluster, self._storages, deadlines.read_seconds)
        consumer_handler = ConsumerHandler(access_reviews, lookup, settings.default_target, settings.trusted_accounts)
        deletion_handler = DeletionHandler(lookup, self._index.usages, self._namespaces.objects)
        allowed_hosts = settings.allowed_hosts.without_api_server([cluster.host])
        storage_handler = SessionStorageHandler(access_reviews, allowed_hosts, settings.sizes)
        self._cluster = cluster
        self._suspension = SuspensionDetector()
        reviews = server.Server(
            {
                "/mutate/sessionstorages": storage_handler.decide,
                "/mutate/consumers": consumer_handler.decide,
                "/mutate/deployments": _as_handler(lambda request: proxy_deployments.decide(request, self._find)),
                "/validate/deletions": deletion_handler.decide,
            }
        )
        self._listener = Listener(reviews.answer, deadlines.answer_seconds)

    async def run(self, stop: asyncio.Event) -> None:
        settings = self._settings
        async with asyncio.TaskGroup() as group:
            watches = [group.create_task(cache.run()) for cache in self._caches]
            watches.append(group.create_task(self._keep_secret_current()))
            probing = await probes.serve(probes.probes_app(self._pending, self._warnings), settings.http_port)
            async with self._listener.serving(settings.webhook_port, self._certificate.context):
                # The objects of start-up live as long as the process: the garbage collector need not visit them.
                gc.freeze()
                await stop.wait()
                _log.info("draining", extra={"seconds": settings.drain_seconds})
                self._listener.is_draining = True
                await asyncio.sleep(settings.drain_seconds)
            await probing.cleanup()
            for watch in watches:
                watch.cancel()

    @property
    def _caches(self) -> tuple[Informer, ...]:
        return (*self._authorities, self._secrets, self._storages, self._namespaces, *self._consumers.values())

    def _find(self, who: Consumer) -> Object | None:
        return self._consumers[who.kind].get((who.namespace, who.name))

    async def _keep_secret_current(self) -> None:
        """Check a refused Secret again, and read the Secret after a suspension: its watch may be dead unnoticed."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self._certificate.look_again()
            if self._suspension.was_suspended() and await self._has_read_secret():
                self._suspension.reset()

    async def _has_read_secret(self) -> bool:
        settings = self._settings
        try:
            self._secrets.remember(await self._cluster.get(SECRETS, settings.namespace, settings.tls_secret))
        except errors.NotFound:
            return True
        except errors.ClusterError as error:
            _log.warning("serving Secret not read", extra={"error": str(error)})
            return False
        return True

    def _warnings(self) -> list[str]:
        certificate, warnings = self._certificate, []
        if certificate.problem:
            secret = self._settings.tls_secret
            warnings.append(f"Secret {secret} is not usable, so the webhook serves an older one: {certificate.problem}")
        if certificate.client_problem:
            warnings.append(f"the authority for clients is not usable: {certificate.client_problem}")
        return warnings

    def _pending(self) -> list[str]:
        pending = [f"the first list of {cache.resource.plural}" for cache in self._caches if not cache.synced.is_set()]
        if not self._certificate.is_loaded:
            pending.append(f"a usable certificate in Secret {self._settings.tls_secret}")
        if not self._certificate.knows_clients:
            pending.append("a usable authority for clients' certificates")
        if self._certificate.has_expired:
            pending.append(f"a certificate in Secret {self._settings.tls_secret} that has not expired")
        if self._suspension.was_suspended():
            pending.append("a fresh read of the serving Secret after a suspension")
        if self._listener.is_draining:
            pending.append("its clients to leave")
        return pending


def _authorities(cluster: Cluster, settings: Settings, certificate: ServingCertificate) -> tuple[Informer, ...]:
    """Make the cache of the ConfigMap with the authority for clients; none if clients need no certificate."""
    authority = settings.client_ca
    if authority is None:
        return ()

    def on_change(_: Object | None, config_map: Object | None) -> None:
        certificate.trust_clients(((config_map or {}).get("data") or {}).get(authority.key, ""))

    only = Selector(namespace=settings.namespace, fields=f"metadata.name={authority.config_map}")
    return (Informer(cluster, CONFIG_MAPS, on_change, selector=only),)


def _as_handler(decide: Callable[[AdmissionRequest], Decision]) -> server.Decide:
    """Make an asynchronous handler of a decision that awaits nothing."""

    async def handle(request: AdmissionRequest) -> Decision:
        return decide(request)

    return handle


if __name__ == "__main__":
    sys.exit(main())
