"""Keeps the webhook's certificates: watches what `rotate` decides on, and has it done.

Runs where the leader of the reconciler runs. Two keepers at once do no harm: every write has a precondition, and the
one that loses looks again.
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
from certs.rotation import external_issuer, notices, planner
from certs.rotation.actions import Lasted, Observed, Phase, Plan, Terms
from certs.rotation.dwell_timer import Patience
from certs.served_certificates import Witness
from shared import errors
from shared.kubernetes.client import Selector
from shared.kubernetes.informer import Informer
from shared.objects.resources import PODS, SECRETS, Object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from certs.settings import CertificateSettings
    from shared.kubernetes.client import Cluster
    from shared.objects.events import EventNote

    Announce: TypeAlias = Callable[[Object, EventNote], Awaitable[None]]
    """Writes an Event about the serving Secret."""

LOOK_AGAIN_SECONDS: Final = 60.0
"""Time passes without an event, and a clock may jump: expiry is judged on the wall clock at least this often."""
SHORTEST_WAIT_SECONDS: Final = 0.05
"""For what was due a moment ago by a clock that counts in whole seconds, as certificates do."""
SETTLE_SECONDS: Final = 0.05
"""Pause after a write; it doubles while writing does not settle it, as in a fight with another writer."""
MAX_SETTLE_SECONDS: Final = 2.0
"""In such a fight over a bundle, admissions fail for as long as we pause."""
PATIENCE: Final = timedelta(seconds=3)
"""Pods take a new certificate up within milliseconds; who has not by now is worth a word."""
FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)
_random = random.SystemRandom()


async def keep(
    cluster: Cluster, settings: CertificateSettings, clock: Callable[[], datetime], announce: Announce
) -> None:
    """Keep authority, bundles and serving certificate as they should be, until cancelled.

    Args:
        cluster: The API to read and write.
        settings: Which Secrets and webhook configurations, and for how long.
        clock: Tells the aware wall-clock instant.
        announce: Tells people of a step.
    """
    keeper = Keeper(cluster, settings, clock, announce)
    try:
        async with asyncio.TaskGroup() as tasks:
            for informer in keeper.informers:
                tasks.create_task(informer.run())
            tasks.create_task(keeper.witness.run())
            tasks.create_task(keeper.run())
    finally:
        metrics.clear()


class Keeper:
    """Looks and acts.

    Attributes:
        informers: Everything that must run for this keeper to see.
        witness: What sees the pods; must run too.
    """

    def __init__(
        self, cluster: Cluster, settings: CertificateSettings, clock: Callable[[], datetime], announce: Announce
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._announce = announce
        self._terms = Terms(validation.dns_names(settings.service, settings.namespace), settings.lifetimes)
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
        self.witness = Witness(pods.objects, self._terms.names[0], self._changed.set)
        caches = self._caches
        self.informers = (caches.authority.informer, caches.serving.informer, *caches.configurations.values(), pods)
        self._applier = Applier(cluster, caches, self._terms)
        self._patience = Patience()
        self._held_up_since: float | None = None
        self._held_up_by: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look and act, whenever something changes, when something is due, and at least once a minute."""
        for informer in self.informers:
            await informer.synced.wait()
        backoff, settle, phase = FIRST_BACKOFF_SECONDS, SETTLE_SECONDS, Phase.STABLE
        while True:
            self._changed.clear()
            try:
                plan = await self.look()
            except errors.ClusterError as error:
                metrics.note_error(error, self._clock())
                seconds = _pause(error, backoff)
                _log.warning("certificates wait for the API server", extra={"error": str(error), "seconds": seconds})
                await asyncio.sleep(seconds)
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
                continue
            backoff = FIRST_BACKOFF_SECONDS
            if plan.actions:
                settle = min(settle * 2, MAX_SETTLE_SECONDS) if plan.phase is phase else SETTLE_SECONDS
                phase = plan.phase
                await asyncio.sleep(settle)
            else:
                settle = SETTLE_SECONDS
                await self._wait(min(plan.wait, PATIENCE) if plan.held_up_by else plan.wait)

    async def look(self) -> Plan:
        """Take one step, if there is one to take; return what was decided.

        Raises:
            ClusterError: The API server did not do what was asked.
        """
        now = self._clock()
        observed = self._observe()
        lasted = self._patience.measure(planner.evidence(observed, self._terms, now), asyncio.get_running_loop().time())
        plan = self._plan(observed, lasted, now)
        metrics.show(observed, plan, self._terms, now)
        self.witness.look_often(often=plan.phase is not Phase.STABLE)
        await self._tell_of_delay(plan.held_up_by)
        for action in plan.actions:
            notice = await self._applier.do(action, now)
            if notice is not None:
                await self._tell(notice)
        return plan

    def _plan(self, observed: Observed, lasted: Lasted, now: datetime) -> Plan:
        if self._settings.issues:
            return planner.plan(observed, self._terms, lasted, now)
        return external_issuer.plan(observed, now)

    def _observe(self) -> Observed:
        configurations = {
            configuration: obj
            for configuration, informer in self._caches.configurations.items()
            if (obj := informer.get(("", configuration.name))) is not None
        }
        return Observed(
            # One that is left over from when certificates were ours has no say any more.
            authority=self._caches.authority.secret if self._settings.issues else None,
            serving=self._caches.serving.secret,
            configurations=configurations,
            pods=self.witness.sightings,
        )

    async def _tell_of_delay(self, pods: tuple[str, ...]) -> None:
        now = asyncio.get_running_loop().time()
        if not pods:
            self._held_up_since, self._held_up_by = None, ()
        elif self._held_up_since is None:
            self._held_up_since = now
        elif now - self._held_up_since >= PATIENCE.total_seconds() and pods != self._held_up_by:
            await self._tell(notices.held_up(pods))
            self._held_up_by = pods

    async def _tell(self, notice: EventNote) -> None:
        _log.log(
            logging.WARNING if notice.type == "Warning" else logging.INFO,
            "certificates",
            extra={"reason": notice.reason, "note": notice.note},
        )
        secret = self._caches.serving.secret
        if secret is not None:
            await self._announce(secret, notice)

    async def _wait(self, span: timedelta) -> None:
        seconds = min(max(span.total_seconds(), SHORTEST_WAIT_SECONDS), LOOK_AGAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _wake(self, _old: Object | None, _new: Object | None) -> None:
        self._changed.set()

    def _on_pod(self, _old: Object | None, _new: Object | None) -> None:
        self._changed.set()
        self.witness.look_again()


def named(name: str, namespace: str = "") -> Selector:
    """Select the one object of a name."""
    return Selector(namespace=namespace, fields=f"metadata.name={name}")


def _pause(error: errors.ClusterError, backoff: float) -> float:
    asked = error.retry_after_seconds if isinstance(error, errors.Unavailable) else None
    return (asked or backoff) * _random.uniform(0.8, 1.2)
