"""Starts the reconciler: `python -m reconciler`. Everything is wired together here and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import uvloop

from certs import keeper
from certs.settings import CertificateSettings
from reconciler.apply.applier import Applier
from reconciler.apply.instance_actions import InstanceActions
from reconciler.controllers.consumer import Announcements, Caretaker
from reconciler.controllers.proxy_deployment import ProxyCaretaker
from reconciler.controllers.readmission import Questions
from reconciler.controllers.session_storage import Planner, Reconciler
from reconciler.controllers.toolhive import ToolHive
from reconciler.controllers.update_slots import Turns
from reconciler.observe.credential_holders import Holders
from reconciler.observe.heartbeat import Heartbeats
from reconciler.observe.last_seen import LastSeen
from reconciler.observe.observer import Observer, Outlook
from reconciler.observe.secret_watches import ReferencedSecrets
from reconciler.rotation import schedule
from reconciler.runtime import metrics, workers
from reconciler.runtime.event_recorder import EventRecorder
from reconciler.runtime.leader_election import Election
from reconciler.runtime.workqueue import WorkQueue
from reconciler.settings import Settings
from reconciler.state import kubernetes_nodes
from reconciler.state.owned_objects import CHILD_RESOURCES, parent_of
from shared import errors, names
from shared.consumers import proxy_deployment
from shared.consumers.identity import consumer_of
from shared.consumers.storage_endpoint import PROXIES_SUPPORTED
from shared.consumers.toolhive import PROXY_SELECTOR, serves_session_tls
from shared.consumers.usage_index import ConsumerIndex
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.objects.conditions import condition_of
from shared.objects.events import EventNote
from shared.objects.resources import DEPLOYMENTS, NODES, PODS, SECRETS, SESSION_STORAGES, VOLUME_CLAIMS, Object, key_of
from shared.process import json_log, probes

if TYPE_CHECKING:
    from collections.abc import Coroutine


_log = logging.getLogger("reconciler")


def main() -> int:
    """Run until SIGTERM, or until leadership is lost."""
    try:
        settings = Settings.from_environ(os.environ)
        certificates = CertificateSettings.from_environ(os.environ)
    except errors.InvalidSettings as error:
        sys.stderr.write(f"reconciler: {error}\n")
        return 2
    json_log.configure("reconciler", settings.log_level)
    return uvloop.run(_run(settings, certificates))


async def _run(settings: Settings, certificates: CertificateSettings) -> int:
    async with await Cluster.connect(user_agent="toolhive-session-storage-reconciler") as cluster:
        process = asyncio.ensure_future(_Process(cluster, settings, certificates).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, process.cancel)
        try:
            await process
        except asyncio.CancelledError:
            _log.info("stopped")
            return 0
        _log.error("no longer the leader: starting over")
        return 1


class _Process:
    """All parts of the reconciler, and how they know each other."""

    def __init__(self, cluster: Cluster, settings: Settings, certificates: CertificateSettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._certificates = certificates
        self._queue = WorkQueue()
        self._consumers = ConsumerIndex(self._queue.add)
        self._referenced = ReferencedSecrets(cluster, self._queue.add)
        self._attention = WorkQueue()
        self._proxies = WorkQueue()
        self._toolhive = ToolHive(cluster, self._on_consumer)
        managed = Selector(labels=f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")
        self._caches = {
            resource.plural: Informer(cluster, resource, self._on_child, selector=managed)
            for resource in CHILD_RESOURCES
        }
        self._storages = Informer(cluster, SESSION_STORAGES, self._on_storage)
        self._caches[SESSION_STORAGES.plural] = self._storages
        self._deployments = Informer(
            cluster,
            DEPLOYMENTS,
            self._on_deployment,
            selector=Selector(labels=PROXY_SELECTOR),
            keep=proxy_deployment.trimmed,
        )
        self._heartbeats = Heartbeats(self._queue.add)
        self._turns = Turns(settings.storage.updates_at_once)
        self._caches[PODS.plural] = Informer(cluster, PODS, self._on_pod, selector=managed)
        self._caches[VOLUME_CLAIMS.plural] = Informer(cluster, VOLUME_CLAIMS, selector=managed)
        self._nodes = Informer(cluster, NODES, self._on_node, keep=kubernetes_nodes.trimmed)
        metrics.QUEUE_LENGTH.set_function(lambda: len(self._queue))

    async def run(self) -> None:
        election = Election(self._cluster, self._settings.candidate)
        runner = await probes.serve(probes.probes_app(self._waits), self._settings.http_port)
        try:
            # One group: a watch that ends by a bug must end the process, or it would decide on a frozen picture.
            async with asyncio.TaskGroup() as group:
                watches = [group.create_task(part) for part in self._watching()]
                await election.lead(self._lead)
                for watch in watches:
                    watch.cancel()
        finally:
            await runner.cleanup()

    def _watching(self) -> list[Coroutine[None, None, None]]:
        return [
            *(informer.run() for informer in self._caches.values()),
            self._deployments.run(),
            self._nodes.run(),
            *self._toolhive.watches(),
            self._referenced.run(),
        ]

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                keeper.keep(self._cluster, self._certificates, self._cluster.clock.now, self._tell_of_certificates)
            )
            group.create_task(self._reconcile())
            if self._settings.extends_toolhive_crds:
                for extension in self._toolhive.extensions():
                    group.create_task(extension)

    async def _tell_of_certificates(self, secret: Object, notice: EventNote) -> None:
        recorder = EventRecorder(self._cluster, self._settings.candidate.identity)
        # What an informer lists does not say what it is.
        regarding = {"apiVersion": SECRETS.api_version, "kind": SECRETS.kind, **secret}
        await recorder.record(regarding, EventNote(notice.type, notice.reason, notice.note))

    async def _reconcile(self) -> None:
        for cache in self._caches.values():
            await cache.synced.wait()
        await self._nodes.synced.wait()
        await self._toolhive.known()
        holders = Holders(self._cluster, self._toolhive.consumer)
        outlook = Outlook(
            serves_tls=self._serves_session_tls,
            knows_consumers=self._toolhive.is_known,
            is_due=self._is_due,
            silent_for=self._heartbeats.silent_for,
            nodes=lambda: kubernetes_nodes.KubernetesNodes.of(self._nodes.objects.values()),
            may_update=self._turns.may_begin,
            last_seen=LastSeen(time.monotonic),
        )
        observer = Observer(self._cluster, self._caches, self._consumers, holders, outlook)
        recorder = EventRecorder(self._cluster, self._settings.candidate.identity)
        clock = self._cluster.clock.now
        instances = InstanceActions(self._cluster, self._caches, clock)
        applier = Applier(self._cluster, self._caches, recorder, holders.refuse, instances)
        planner = Planner(self._settings.storage, clock, self._turns)
        reconciler = Reconciler(self._storages, observer, applier, planner)
        for key in self._storages.objects:
            self._queue.add(key)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heartbeats.run(list(self._caches[PODS.plural].objects.values())))
            group.create_task(workers.run(self._queue, reconciler.reconcile))
            for part in self._caretaking(recorder):
                group.create_task(part)

    def _caretaking(self, recorder: EventRecorder) -> list[Coroutine[None, None, None]]:
        questions, find = Questions(self._cluster), self._toolhive.consumer
        storages, target = self._storages.objects, self._settings.default_target
        consumers = Caretaker(questions, Announcements(self._cluster, recorder), find, storages, target)
        proxies = ProxyCaretaker(questions, self._deployments.objects, find)
        for consumer in self._toolhive.consumers():
            self._attention.add(consumer_of(consumer))
        for key in self._deployments.objects:
            self._proxies.add(key)
        return [workers.run(self._attention, consumers.look), workers.run(self._proxies, proxies.look)]

    def _serves_session_tls(self) -> bool:
        return all(serves_session_tls(crd) for crd in self._toolhive.crds())

    def _is_due(self, storage: Object) -> bool:
        at_once = self._settings.storage.rotation.scheduled_at_once
        storages, secrets = self._storages.objects.values(), self._caches[SECRETS.plural].objects
        return schedule.is_due(storage, storages, secrets, at_once, self._cluster.clock.now())

    def _waits(self) -> list[str]:
        return [f"the first list of {plural}" for plural, cache in self._caches.items() if not cache.synced.is_set()]

    def _on_storage(self, old: Object | None, new: Object | None) -> None:
        self._referenced.on_storage(old, new)
        # Our own status writes come back as changes; they are no news.
        if old is None or new is None or _asked(old) != _asked(new):
            self._queue.add(key_of(new or old or {}))

        if _offered(old) != _offered(new):
            for usage in self._consumers.usages(key_of(new or old or {})):
                self._attention.add(usage.consumer)

    def _on_consumer(self, old: Object | None, new: Object | None) -> None:
        self._consumers.on_change(old, new)
        self._attention.add(consumer_of(new or old or {}))
        # ToolHive calls a proxy's Deployment as its consumer.
        self._proxies.add(key_of(new or old or {}))

    def _on_deployment(self, old: Object | None, new: Object | None) -> None:
        self._proxies.add(key_of(new or old or {}))

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        self._heartbeats.on_pod(old, new)
        self._on_child(old, new)

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return  # kubelet writes the status of a node again and again
        node = (new or old or {})["metadata"]["name"]
        for pod in self._caches[PODS.plural].objects.values():
            if pod["spec"].get("nodeName") == node:
                self._on_child(None, pod)

    def _on_child(self, old: Object | None, new: Object | None) -> None:
        if storage := parent_of(new or old or {}):
            self._queue.add(storage)


def _asked(storage: Object) -> tuple[object, ...]:
    """Pick what of a storage says what is asked for: everything but its status."""
    metadata = storage["metadata"]
    return tuple(metadata.get(field) for field in ("uid", "generation", "deletionTimestamp", "annotations"))


def _offered(storage: Object | None) -> tuple[object, ...]:
    """Pick what of a storage its consumers depend on."""
    if storage is None:
        return ()
    return (
        storage["metadata"]["uid"],
        storage.get("spec"),
        (condition_of(storage, PROXIES_SUPPORTED) or {}).get("reason"),
    )


if __name__ == "__main__":
    sys.exit(main())
