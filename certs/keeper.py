"""Keeps the webhook's certificates: watches what `rotate` decides on, and does what it decides.

Runs where the leader of the reconciler runs. Two keepers at once do no harm: Secrets are created or replaced at a
known resourceVersion, and the one that loses looks again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final

from certs import check, issue, rotate
from certs.pem import KEY_BUNDLE, KEY_CERTIFICATE, KEY_PRIVATE_KEY, SECRET_TYPE, Pair, encoded
from shared import errors
from shared.cluster import Selector
from shared.informer import Informer
from shared.names import FIELD_MANAGER_CERTIFICATES, LABEL_MANAGED_BY, MANAGED_BY
from shared.resources import SECRETS, Object

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from certs.settings import CertificateSettings
    from shared.cluster import Cluster

LOOK_AGAIN_SECONDS: Final = 60.0
"""Time passes without an event, and a clock may jump: expiry is judged on the wall clock at least this often."""
SETTLE_SECONDS: Final = 0.05
"""Pause after a write; it doubles while writing does not settle it, as in a fight with another writer."""
FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)
_random = random.SystemRandom()


async def keep(cluster: Cluster, settings: CertificateSettings, clock: Callable[[], datetime]) -> None:
    """Keep authority, bundles and serving certificate as they should be, until cancelled.

    Args:
        cluster: The API to read and write.
        settings: Which Secrets and webhook configurations.
        clock: Tells the aware wall-clock instant.
    """
    keeper = _Keeper(cluster, settings, clock)
    async with asyncio.TaskGroup() as tasks:
        for informer in keeper.informers:
            tasks.create_task(informer.run())
        tasks.create_task(keeper.run())


class _Keeper:
    def __init__(self, cluster: Cluster, settings: CertificateSettings, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._names = check.dns_names(settings.service, settings.namespace)
        self._changed = asyncio.Event()
        self._authority = self._secret_informer(settings.ca_secret)
        self._serving = self._secret_informer(settings.tls_secret)
        self._configurations = {
            configuration: Informer(cluster, configuration.resource, self._wake, selector=_named(configuration.name))
            for configuration in settings.configurations
        }

    @property
    def informers(self) -> tuple[Informer, ...]:
        """Everything that must run for this keeper to see."""
        return self._authority, self._serving, *self._configurations.values()

    async def run(self) -> None:
        """Look and act, whenever something changes and at least once a minute."""
        for informer in self.informers:
            await informer.synced.wait()
        backoff, settle = FIRST_BACKOFF_SECONDS, SETTLE_SECONDS
        while True:
            self._changed.clear()
            try:
                has_acted = await self._step()
            except errors.ClusterError as error:
                seconds = _pause(error, backoff)
                _log.warning("certificates wait for the API server", extra={"error": str(error), "seconds": seconds})
                await asyncio.sleep(seconds)
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
                continue
            backoff = FIRST_BACKOFF_SECONDS
            if has_acted:
                await asyncio.sleep(settle)
                settle = min(settle * 2, MAX_BACKOFF_SECONDS)
            else:
                settle = SETTLE_SECONDS
                await self._wait()

    async def _step(self) -> bool:
        now = self._clock()
        actions = rotate.plan(self._observe(), self._names, now)
        for action in actions:
            await self._do(action, now)
        return bool(actions)

    def _observe(self) -> rotate.Observed:
        namespace = self._settings.namespace
        configurations = {
            configuration: obj
            for configuration, informer in self._configurations.items()
            if (obj := informer.get(("", configuration.name))) is not None
        }
        return rotate.Observed(
            authority=self._authority.get((namespace, self._settings.ca_secret)),
            serving=self._serving.get((namespace, self._settings.tls_secret)),
            configurations=configurations,
        )

    async def _do(self, action: rotate.Action, now: datetime) -> None:
        match action:
            case rotate.IssueAuthority(reasons):
                pair = issue.issue_authority(now)
                if await self._store(self._authority, self._settings.ca_secret, _content(pair)):
                    _log.info("issued certificate authority", extra=_described(pair, reasons))
            case rotate.PublishBundle():
                await self._publish(action)
                _log.info("published certificate authority", extra={"configuration": action.configuration.name})
            case rotate.IssueServing(authority, bundle, reasons):
                pair = issue.issue_serving(authority, self._names, now)
                content = {**_content(pair), KEY_BUNDLE: encoded(bundle)}
                if await self._store(self._serving, self._settings.tls_secret, content):
                    _log.info("issued serving certificate", extra=_described(pair, reasons))

    async def _store(self, informer: Informer, name: str, content: dict[str, str]) -> bool:
        namespace = self._settings.namespace
        seen = informer.get((namespace, name))
        try:
            if seen is None:
                stored = await self._cluster.create(SECRETS, _secret(namespace, name, content))
            else:
                stored = await self._cluster.replace(SECRETS, {**seen, "data": content})
        except (errors.AlreadyExists, errors.Conflict):
            _log.info("another writer was first", extra={"secret": name})
            informer.remember(await self._cluster.get(SECRETS, namespace, name))
            return False
        informer.remember(stored)
        return True

    async def _publish(self, action: rotate.PublishBundle) -> None:
        configuration = action.configuration
        informer = self._configurations[configuration]
        seen = informer.objects["", configuration.name]
        bundle = {"caBundle": encoded(action.bundle)}
        # The uid keeps this from making anew what was deleted a moment ago: nobody would ever take that away again.
        applied: Object = {
            "metadata": {"name": configuration.name, "uid": seen["metadata"]["uid"]},
            "webhooks": [{"name": webhook, "clientConfig": bundle} for webhook in action.webhooks],
        }
        informer.remember(
            await self._cluster.apply(configuration.resource, applied, field_manager=FIELD_MANAGER_CERTIFICATES)
        )

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            return

    def _wake(self, _old: Object | None, _new: Object | None) -> None:
        self._changed.set()

    def _secret_informer(self, name: str) -> Informer:
        selector = _named(name, self._settings.namespace)
        return Informer(self._cluster, SECRETS, self._wake, selector=selector)


def _named(name: str, namespace: str = "") -> Selector:
    return Selector(namespace=namespace, fields=f"metadata.name={name}")


def _secret(namespace: str, name: str, content: dict[str, str]) -> Object:
    metadata = {"namespace": namespace, "name": name, "labels": {LABEL_MANAGED_BY: MANAGED_BY}}
    return {"metadata": metadata, "type": SECRET_TYPE, "data": content}


def _content(pair: Pair) -> dict[str, str]:
    return {KEY_CERTIFICATE: encoded(pair.certificate_pem), KEY_PRIVATE_KEY: encoded(pair.key_pem)}


def _described(pair: Pair, reasons: tuple[check.Problem, ...]) -> dict[str, str]:
    return {"reasons": "; ".join(reasons), "not_after": pair.certificate.not_valid_after_utc.isoformat()}


def _pause(error: errors.ClusterError, backoff: float) -> float:
    asked = error.retry_after_seconds if isinstance(error, errors.Unavailable) else None
    return (asked or backoff) * _random.uniform(0.8, 1.2)
