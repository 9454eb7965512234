"""Starts the reconciler: `python -m reconciler`. No other module wires the parts together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import uvloop

from certs import controller as certificate_controller
from certs.settings import CertificateSettings
from reconciler.apply.applier import Applier
from reconciler.apply.instance_actions import InstanceActions
from reconciler.apply.status_writer import StatusWriter
from reconciler.controllers.consumer import ConsumerReconciler, ConsumerStatusWriter
from reconciler.controllers.proxy_deployment import ProxyDeploymentReconciler
from reconciler.controllers.readmission import Readmissions
from reconciler.controllers.session_storage import Reconciler
from reconciler.controllers.watches import Watches
from reconciler.manifests.valkey_pods import UserIds
from reconciler.metrics.primary_answers import PrimaryAnswers
from reconciler.observe import openshift
from reconciler.observe.credential_rollouts import CredentialRollouts
from reconciler.observe.kubernetes_warnings import KubernetesWarnings
from reconciler.observe.last_seen import LastSeen
from reconciler.observe.observer import Observer
from reconciler.observe.session_counts import SessionCounts
from reconciler.observe.surroundings import Surroundings
from reconciler.observe.write_checks import WriteChecks
from reconciler.rotation import schedule
from reconciler.runtime import metrics, scrape, workers
from reconciler.runtime.event_recorder import EventRecorder
from reconciler.runtime.leader_election import LeaderElector
from reconciler.runtime.storage_metrics import StorageMetrics
from reconciler.runtime.update_slots import UpdateSlots
from reconciler.runtime.write_memory import WriteMemory
from reconciler.settings import Settings
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.valkey.external_store import ExternalStores
from reconciler.valkey.looks import Looks
from shared import errors
from shared.consumers.toolhive import serves_session_tls
from shared.kubernetes.client import Cluster
from shared.kubernetes.namespaces import WatchedNamespaces
from shared.objects.resources import PODS, SECRETS, Object
from shared.process import json_log, open_files, probes
from shared.process.survival import keep_running

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from reconciler.plan.desired_objects import StorageSettings
    from reconciler.state.scheduling import Scheduling
    from reconciler.state.session_storage import DeclaredStorage
    from shared.objects.events import EventNote


USER_AGENT: Final = "toolhive-session-storage-reconciler"
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
    open_files.allow_as_many_as_possible()  # with each instance it keeps two connections
    return uvloop.run(_run(settings, certificates))


async def _run(settings: Settings, certificates: CertificateSettings) -> int:
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(await Cluster.connect(user_agent=USER_AGENT)) for _ in range(3)]
        process = asyncio.ensure_future(_Process(Connections(*opened), settings, certificates).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, process.cancel)
        try:
            await process
        except asyncio.CancelledError:
            _log.info("stopped")
            return 0
        _log.error("this process no longer leads, and exits so that Kubernetes starts it anew")
        return 1


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections to the same API server: however much the storages ask of it, the other two do not wait for them."""

    storages: Cluster
    lease: Cluster
    certificates: Cluster


class _Process:
    """Makes all parts of the reconciler, hands them to each other, and runs them."""

    def __init__(self, connections: Connections, settings: Settings, certificates: CertificateSettings) -> None:
        self._connections = connections
        self._cluster = cluster = connections.storages
        self._settings = settings
        self._certificates = certificates
        own = settings.candidate.namespace
        namespaces, answers = WatchedNamespaces(settings.watch_namespaces), PrimaryAnswers()
        self._watches = Watches(cluster, namespaces, settings.storage.pods, own, answers.note_answer)
        self._metrics = StorageMetrics(answers, self._watches.consumers.usages, cluster.clock.now)
        self._slots = UpdateSlots(settings.storage.updates_at_once, time.monotonic)
        self._recorder = EventRecorder(cluster, settings.candidate.identity)
        metrics.QUEUE_LENGTH.set_function(lambda: len(self._watches.storage_queue))

    async def run(self) -> None:
        elector = LeaderElector(self._connections.lease, self._settings.candidate)
        storages = scrape.storages_route(self._metrics.exposition)
        runner = await probes.serve(
            probes.probes_app(self._watches.missing, further=[storages]), self._settings.http_port
        )
        try:
            # One group: a watch that ends by a bug must end the process, which would else decide by an outdated cache.
            async with asyncio.TaskGroup() as group:
                watches = [group.create_task(part) for part in self._watches.run()]
                await elector.run(self._lead)
                for watch in watches:
                    watch.cancel()
        finally:
            await runner.cleanup()

    async def _lead(self) -> None:
        self._metrics.exposition.is_leader = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_certificates())
                group.create_task(self._reconcile())
                if self._settings.extends_toolhive_crds:
                    for extension in self._watches.toolhive.extensions():
                        group.create_task(extension)
        finally:
            self._metrics.exposition.is_leader = False

    async def _keep_certificates(self) -> None:
        cluster = self._connections.certificates
        recorder = EventRecorder(cluster, self._settings.candidate.identity)

        async def record(secret: Object, note: EventNote) -> None:
            # Items of a list carry neither apiVersion nor kind.
            await recorder.record({"apiVersion": SECRETS.api_version, "kind": SECRETS.kind, **secret}, note)

        await certificate_controller.run(cluster, self._certificates, cluster.clock.now, record)

    async def _reconcile(self) -> None:
        await self._watches.synced()
        self._watches.queue_all()
        pods = self._watches.caches[PODS.plural].objects.values()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watches.heartbeats.run(pods))
            group.create_task(self._watches.referenced_secrets.run())
            group.create_task(keep_running("counts of unanswered questions", self._metrics.run))
            counts = SessionCounts(self._metrics, self._watches.consumers.usages)
            group.create_task(keep_running("counts of sessions", counts.run))
            looks = Looks(time.monotonic)
            checks = WriteChecks(looks.takes_writes, self._watches.storage_queue.hasten)
            group.create_task(keep_running("checks of writes", checks.run))
            reconcile = self._storage_controller(await self._storage_settings(), looks, checks).reconcile
            group.create_task(self._watches.storage_queue.run_managed(reconcile))
            group.create_task(self._watches.storage_queue.run_external(reconcile))
            for part in self._consumer_controllers():
                group.create_task(part)

    async def _storage_settings(self) -> StorageSettings:
        """Complete what the installation says of storages by what only the cluster can tell."""
        settings = self._settings.storage
        if settings.pods.user_ids is not UserIds.AUTO:
            return settings
        pods = settings.pods.on_cluster(assigns_ids=await openshift.assigns_ids(self._cluster))
        _log.info("found out who chooses the user ids of Valkey's pods", extra={"user_ids": pods.user_ids})
        return replace(settings, pods=pods)

    def _storage_controller(self, settings: StorageSettings, looks: Looks, checks: WriteChecks) -> Reconciler:
        watches, clock = self._watches, self._cluster.clock.now
        rollouts = CredentialRollouts(self._cluster, watches.toolhive.consumer, watches.toolhive.auth_servers)
        last_seen = LastSeen(time.monotonic)
        surroundings = Surroundings(
            read_secret=watches.referenced_secrets.read,
            serves_tls=lambda: all(serves_session_tls(crd) for crd in watches.toolhive.session_crds()),
            knows_consumers=watches.toolhive.is_known,
            has_auth_data=watches.toolhive.has_auth_data,
            is_rotation_due=self._is_rotation_due,
            silent_for=watches.heartbeats.silent_for,
            outlives_at=watches.heartbeats.outlives_at,
            nodes=partial(self._nodes, settings.pods.scheduling),
            may_update=self._slots.may_take,
            last_seen=last_seen,
            dial=ExternalStores(self._settings.allowed_hosts.without_api_server([self._cluster.host])).dial,
            warning_about=KubernetesWarnings(self._cluster, time.monotonic).about,
            sizes=settings.sizes,
            pull_sources=settings.pods.pull_sources,
            pull_secrets=watches.pull_secrets.found,
            ask=looks.observe,
        )
        observer = Observer(self._cluster, watches.caches, watches.consumers, rollouts, surroundings)
        instances = InstanceActions(self._cluster, watches.caches, clock, last_seen.note_endless_script)
        memory = WriteMemory(clock)
        applier = Applier(self._cluster, watches.caches, rollouts.note_refusal, instances, memory)
        status = StatusWriter(self._cluster, watches.storages, self._recorder)
        return Reconciler(
            watches.storages, observer, applier, status, settings, clock, self._slots, memory, self._metrics, checks
        )

    def _nodes(self, scheduling: Scheduling) -> KubernetesNodes:
        nodes = self._watches.nodes.objects.values()
        return KubernetesNodes.of(nodes, self._settings.drain_taints, scheduling)

    def _consumer_controllers(self) -> list[Coroutine[None, None, None]]:
        watches, readmissions = self._watches, Readmissions(self._cluster)
        find, target, clock = watches.toolhive.consumer, self._settings.default_target, self._cluster.clock.now
        status_writer = ConsumerStatusWriter(self._cluster, self._recorder)
        consumers = ConsumerReconciler(readmissions, status_writer, find, watches.storages.objects, target, clock)
        proxies = ProxyDeploymentReconciler(readmissions, watches.deployments.objects, find, clock)
        return [
            workers.run(watches.consumer_queue, consumers.reconcile, "consumer"),
            workers.run(watches.proxy_queue, proxies.reconcile, "deployment"),
        ]

    def _is_rotation_due(self, storage: DeclaredStorage) -> bool:
        settings, now = self._settings.storage.rotation, self._cluster.clock.now()
        storages, secrets = self._watches.storages.objects.values(), self._watches.caches[SECRETS.plural].objects
        return schedule.is_due(storage, storages, secrets, settings, now)


if __name__ == "__main__":
    sys.exit(main())
