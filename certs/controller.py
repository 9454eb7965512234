"""Reconciles the webhook's certificates: observes the cluster, has the planner decide and the applier write.

The reconciler's leader runs it. Two of them at once do no harm: every write has a precondition, and the controller
whose write fails reads again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from certs import metrics
from certs.apply import Applier, Caches, SecretCache
from certs.pki import validation
from certs.rotation import events, external_issuer, planner
from certs.rotation.actions import CertificateSpec, Observed, Phase, Plan
from certs.rotation.dwell_timer import DwellTimer
from certs.served_certificates import CertificateProber
from shared import errors
from shared.kubernetes.client import Selector
from shared.kubernetes.informer import Informer
from shared.objects.resources import PODS, SECRETS, Object
from shared.process.log_scope import RECONCILE_ID, logged_with, reconcile_id
from shared.process.survival import keep_running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from certs.settings import CertificateSettings
    from shared.kubernetes.client import Cluster
    from shared.objects.events import EventNote

    RecordEvent: TypeAlias = Callable[[Object, EventNote], Awaitable[None]]
    """Writes an Event about the serving Secret."""

RESYNC_SECONDS: Final = 60.0
"""Certificates expire without any watch event, and a clock may jump: the controller compares with it this often."""
MIN_WAIT_SECONDS: Final = 0.05
"""Shortest wait. Certificates count in whole seconds, so the planner may name a wait of zero just before an action is
due."""
WRITE_PAUSE_SECONDS: Final = 0.05
"""Pause after a write; it doubles while writes change nothing, as when another writer undoes them."""
MAX_WRITE_PAUSE_SECONDS: Final = 2.0
"""While another writer keeps undoing a bundle, admissions fail for as long as the controller pauses."""
RELOAD_GRACE: Final = timedelta(seconds=3)
"""A webhook pod loads a new certificate within milliseconds; the controller reports pods that take longer than this."""
FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)
_random = random.SystemRandom()


async def run(
    cluster: Cluster, settings: CertificateSettings, clock: Callable[[], datetime], record_event: RecordEvent
) -> None:
    """Keep certificate authority, CA bundles and serving certificate valid until cancelled.

    Args:
        cluster: The API to read and write.
        settings: Which Secrets and webhook configurations, and for how long certificates live.
        clock: Tells the aware wall-clock instant.
        record_event: Writes an Event about a step.
    """
    controller = CertificateController(cluster, settings, clock, record_event)
    try:
        async with asyncio.TaskGroup() as tasks:
            for informer in controller.informers:
                tasks.create_task(informer.run())
            tasks.create_task(keep_running("probes of the webhook's certificates", controller.prober.run))
            tasks.create_task(keep_running("the webhook's certificates", controller.run))
    finally:
        metrics.clear()


class CertificateController:
    """Compares the cluster with what the planner wants, and applies the difference step by step.

    Attributes:
        informers: The caches that the controller reads; the caller runs them.
        prober: Tells which certificate each webhook pod serves; the caller runs it.
    """

    def __init__(
        self, cluster: Cluster, settings: CertificateSettings, clock: Callable[[], datetime], record_event: RecordEvent
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._record_event = record_event
        self._spec = CertificateSpec(validation.dns_names(settings.service, settings.namespace), settings.lifetimes)
        self._changed = asyncio.Event()

        def secret(name: str) -> SecretCache:
            selector = named(name, settings.namespace)
            return SecretCache((settings.namespace, name), Informer(cluster, SECRETS, self._wake, selector=selector))

        self._caches = Caches(
            secret(settings.ca_secret),
            secret(settings.tls_secret),
            {
                configuration: Informer(cluster, configuration.resource, self._wake, selector=named(configuration.name))
                for configuration in settings.configurations
            },
        )
        pods = Informer(
            cluster, PODS, self._on_pod, selector=Selector(settings.namespace, labels=settings.webhook_selector)
        )
        self.prober = CertificateProber(pods.objects, self._spec.dns_names[0], self._changed.set)
        caches = self._caches
        self.informers = (caches.authority.informer, caches.serving.informer, *caches.configurations.values(), pods)
        self._applier = Applier(cluster, caches, self._spec)
        self._dwell_timer = DwellTimer()
        self._waiting_since: float | None = None
        self._reported_pods: tuple[str, ...] = ()

    async def run(self) -> None:
        """Reconcile whenever something changes, when something is due, and at least once a minute."""
        for informer in self.informers:
            await informer.synced.wait()
        backoff, write_pause, phase = FIRST_BACKOFF_SECONDS, WRITE_PAUSE_SECONDS, Phase.STABLE
        while True:
            self._changed.clear()
            with logged_with({RECONCILE_ID: reconcile_id()}):
                plan = await self._try(backoff)
            if plan is None:
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
                continue
            backoff = FIRST_BACKOFF_SECONDS
            if plan.actions:
                is_repeated = plan.phase is phase
                write_pause = min(write_pause * 2, MAX_WRITE_PAUSE_SECONDS) if is_repeated else WRITE_PAUSE_SECONDS
                phase = plan.phase
                await asyncio.sleep(write_pause)
            else:
                write_pause = WRITE_PAUSE_SECONDS
                await self._wait(min(plan.wait, RELOAD_GRACE) if plan.waits_for_pods else plan.wait)

    async def _try(self, backoff: float) -> Plan | None:
        """Reconcile; None if the API server did not do what was asked, after a pause."""
        try:
            return await self.reconcile()
        except errors.ClusterError as error:
            metrics.count_error(error, self._clock())
            seconds = _retry_seconds(error, backoff)
            _log.warning(
                "the API server did not take a certificate step; trying again",
                extra={"reason": type(error).__name__, "error": str(error), "retry_seconds": round(seconds, 2)},
            )
            await asyncio.sleep(seconds)
            return None

    async def reconcile(self) -> Plan:
        """Take one step, if there is one to take; return what the planner decided.

        Raises:
            ClusterError: The API server did not do what was asked.
        """
        now = self._clock()
        observed = self._observe()
        evidence = planner.evidence(observed, self._spec, now)
        age = self._dwell_timer.measure(evidence, asyncio.get_running_loop().time())
        if self._settings.issues:
            plan = planner.plan(observed, self._spec, age, now)
        else:
            plan = external_issuer.plan(observed, now)
        metrics.export(observed, plan, self._spec, now)
        self.prober.probe_often(often=plan.phase is not Phase.STABLE)
        await self._report_delay(plan.waits_for_pods)
        for action in plan.actions:
            started = asyncio.get_running_loop().time()
            event = await self._applier.carry_out(action, now)
            if event is not None:
                await self._publish_event(event, asyncio.get_running_loop().time() - started)
        return plan

    def _observe(self) -> Observed:
        configurations = {
            configuration: obj
            for configuration, informer in self._caches.configurations.items()
            if (obj := informer.get(("", configuration.name))) is not None
        }
        return Observed(
            # A CA Secret may be left from the time before somebody else issued the certificates; it no longer counts.
            authority=self._caches.authority.secret if self._settings.issues else None,
            serving=self._caches.serving.secret,
            configurations=configurations,
            pods=self.prober.served_leaves,
        )

    async def _report_delay(self, pods: tuple[str, ...]) -> None:
        now = asyncio.get_running_loop().time()
        if not pods:
            self._waiting_since, self._reported_pods = None, ()
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since >= RELOAD_GRACE.total_seconds() and pods != self._reported_pods:
            await self._publish_event(events.rotation_held_up(pods), now - self._waiting_since)
            self._reported_pods = pods

    async def _publish_event(self, event: EventNote, seconds: float) -> None:
        """Tell of a step in the log and by an Event; it took these seconds."""
        _log.log(
            logging.WARNING if event.type == "Warning" else logging.INFO,
            "certificate event",
            extra={"reason": event.reason, "note": event.note, "seconds": round(seconds, 3)},
        )
        secret = self._caches.serving.secret
        if secret is not None:
            await self._record_event(secret, event)

    async def _wait(self, span: timedelta) -> None:
        seconds = min(max(span.total_seconds(), MIN_WAIT_SECONDS), RESYNC_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _wake(self, _old: Object | None, _new: Object | None) -> None:
        self._changed.set()

    def _on_pod(self, _old: Object | None, _new: Object | None) -> None:
        self._changed.set()
        self.prober.probe_now()


def named(name: str, namespace: str = "") -> Selector:
    """Select one object by its name."""
    return Selector(namespace=namespace, fields=f"metadata.name={name}")


def _retry_seconds(error: errors.ClusterError, backoff: float) -> float:
    asked = error.retry_after_seconds if isinstance(error, errors.Unavailable) else None
    return (asked or backoff) * _random.uniform(0.8, 1.2)
