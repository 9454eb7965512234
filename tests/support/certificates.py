"""The certificate controller at work in memory, with webhook pods and API servers that learn of every change late.

It runs in virtual time (tests/support/virtual_time.py). Each pod chooses its certificate by the webhook's own rules;
each API server trusts the bundle of which it last heard. Whenever one of them learns something, the world
checks for each pair of them whether an admission would succeed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

from certs import controller
from certs.pki import validation
from certs.pki.pem import certificates_in
from certs.rotation import ca_secret
from certs.served_certificates import CertificateProber
from certs.settings import CertificateSettings
from shared.names import ANNOTATION_ROTATE_CERTIFICATES
from shared.objects.resources import MUTATING_WEBHOOKS, PODS, SECRETS, VALIDATING_WEBHOOKS
from tests.support.background import beside
from tests.support.fakes import FakeApi
from webhook.serving_certificate import ServingCertificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from cryptography import x509

    from certs.served_certificates import Endpoint
    from shared.objects.events import EventNote
    from shared.objects.resources import Object

NAMESPACE = "session-storage-system"
SERVICE = CONFIGURATION = "release-webhook"
CA, TLS = "release-webhook-ca", "release-webhook-tls"
NAMES = validation.dns_names(SERVICE, NAMESPACE)
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SELECTOR = {"app.kubernetes.io/component": "webhook"}
ENVIRON = {
    "POD_NAMESPACE": NAMESPACE,
    "WEBHOOK_SERVICE": SERVICE,
    "CA_SECRET": CA,
    "TLS_SECRET": TLS,
    "WEBHOOK_CONFIGURATIONS": f"mutating/{CONFIGURATION},validating/{CONFIGURATION}",
    "WEBHOOK_SELECTOR": "app.kubernetes.io/component=webhook",
    "AUTHORITY_LIFE": "1h",
    "SERVING_LIFE": "15m",
    "DWELL": "60s",
}
LAGS = (0.0, 25.0)
"""Seconds after which the first and the second API server learn of a bundle; less than the dwell."""
POD_LAGS = (0.05, 8.0)
QUIET_SECONDS = 100.0
"""More than the dwell, and what everybody is late."""
SETTLE_SECONDS = 600.0


class Crash(BaseException):
    """The reconciler is killed."""


class Pod:
    """A webhook pod: starts to serve certificates by the webhook's own rules, some time after they are written."""

    def __init__(self, world: World, name: str, lag: float) -> None:
        self._world, self._lag = world, lag
        self.name = name
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.certificate = ServingCertificate(NAMES, world.clock)

    @property
    def is_frozen(self) -> bool:
        return not self._thawed.is_set()

    def freeze(self) -> None:
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def run(self) -> None:
        api = self._world.api
        position = str(len(api.writes))
        self.certificate.on_change(None, api.objects.get((SECRETS.plural, NAMESPACE, TLS)))
        self._world.check()
        async for event in api.watch(SECRETS, controller.named(TLS, NAMESPACE), position):
            await asyncio.sleep(self._lag)
            await self._thawed.wait()
            self.certificate.on_change(None, None if event["type"] == "DELETED" else event["object"])
            self._world.check()

    async def set_ready(self, *, ready: bool = True) -> None:
        port = {"name": "https", "containerPort": 9443}
        pod = {
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": SELECTOR},
            "spec": {"containers": [{"name": "webhook", "ports": [port]}]},
            "status": {"podIP": self.name, "conditions": [{"type": "Ready", "status": str(ready)}]},
        }
        await self._world.api.apply(PODS, pod, field_manager="kubelet")


class ApiServer:
    """Trusts the bundle of which it last heard."""

    def __init__(self, world: World, lag: float) -> None:
        self._world, self._lag = world, lag
        self.bundle = b""

    async def run(self) -> None:
        async for event in self._world.api.watch(MUTATING_WEBHOOKS, controller.named(CONFIGURATION), "0"):
            await asyncio.sleep(self._lag)
            entry = event["object"]["webhooks"][0]["clientConfig"].get("caBundle", "")
            self.bundle = base64.b64decode(entry)
            self._world.check()


class World:
    """A cluster with two API servers and two webhook pods, in which the controller can be killed at any write.

    Attributes:
        failures: Admissions that would have failed since `checking_admissions` began: when, between whom, and why.
        events: What the controller recorded.
    """

    def __init__(self, **environ: str) -> None:
        self.api = FakeApi()
        self.settings = CertificateSettings.from_environ(ENVIRON | environ)
        self.servers = [ApiServer(self, lag) for lag in LAGS]
        self.pods = [Pod(self, f"pod-{number}", lag) for number, lag in enumerate(POD_LAGS)]
        self.failures: list[str] = []
        self.events: list[EventNote] = []
        self._is_watched = False
        self._running: dict[Pod | ApiServer, asyncio.Future[None]] = {}

    def clock(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the API servers and the pods, without the controller."""
        for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
            webhooks = [{"name": name, "clientConfig": {"service": {"name": SERVICE}}} for name in ("a.x", "b.x")]
            await self.api.create(resource, {"metadata": {"name": CONFIGURATION}, "webhooks": webhooks})
        for pod in self.pods:
            await pod.set_ready()
        self._running = {
            **{server: asyncio.ensure_future(server.run()) for server in self.servers},
            **{pod: asyncio.ensure_future(pod.run()) for pod in self.pods},
        }
        try:
            with patch.object(CertificateProber, "_probe", self._probe):
                yield
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def restart_pod(self, number: int) -> None:
        """Replace a pod's process by a new one, which reads the Secret at once."""
        old = self.pods[number]
        self._running.pop(old).cancel()
        self.pods[number] = Pod(self, old.name, POD_LAGS[number])
        self._running[self.pods[number]] = asyncio.ensure_future(self.pods[number].run())

    @contextlib.asynccontextmanager
    async def controlled(self) -> AsyncIterator[None]:
        """Run a controller, and start another one whenever it is killed."""
        async with beside(self._run_controller()):
            yield

    async def settle(self) -> None:
        """Wait until nothing has been written for longer than any pause of the controller."""
        clock = asyncio.get_running_loop().time
        written, since, deadline = len(self.api.writes), clock(), clock() + SETTLE_SECONDS
        while clock() - since < QUIET_SECONDS or not self.is_settled:
            assert clock() < deadline, self.events
            await asyncio.sleep(1)
            if len(self.api.writes) != written:
                written, since = len(self.api.writes), clock()

    @property
    def is_settled(self) -> bool:
        """Whether one authority is left, every API server trusts it, and it has signed the leaf."""
        held = ca_secret.read(self.secret(CA), self.clock()).usable
        if held is None or held.next or held.retired or self.secret(TLS) is None:
            return False
        trusted = (held.current.certificate,)
        return self.bundles == {held.bundle} and not validation.serving_problems(
            self.secret(TLS), trusted, NAMES, self.clock()
        )

    @contextlib.contextmanager
    def checking_admissions(self) -> Iterator[None]:
        """Count failed admissions while the block runs."""
        self._is_watched = True
        yield
        self.check()
        self._is_watched = False

    def check(self) -> None:
        """Check whether each API server could call each ready pod."""
        if not self._is_watched:
            return
        for number, server in enumerate(self.servers):
            for pod in self.pods:
                leaf = pod.certificate.served
                if leaf is not None and not pod.is_frozen and not self._is_trusted(leaf, server.bundle):
                    self.failures.append(f"{self.clock():%H:%M:%S} API server {number}, {pod.name}")

    def secret(self, name: str) -> Object | None:
        return self.api.objects.get((SECRETS.plural, NAMESPACE, name))

    async def edit_secret(self, name: str, data: dict[str, str]) -> None:
        secret = copy.deepcopy(self.api.objects[SECRETS.plural, NAMESPACE, name])
        await self.api.replace(SECRETS, {**secret, "data": data})

    async def delete_secret(self, name: str) -> None:
        await self.api.delete(SECRETS, NAMESPACE, name)

    async def ask_for_rotation(self, request: str = "now") -> None:
        secret = copy.deepcopy(self.api.objects[SECRETS.plural, NAMESPACE, TLS])
        secret["metadata"]["annotations"] = {ANNOTATION_ROTATE_CERTIFICATES: request}
        await self.api.replace(SECRETS, secret)

    @property
    def bundles(self) -> set[bytes]:
        return {
            base64.b64decode(webhook["clientConfig"].get("caBundle", ""))
            for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)
            for webhook in self.api.objects[resource.plural, "", CONFIGURATION]["webhooks"]
        }

    async def wipe_bundles(self) -> None:
        obj = copy.deepcopy(self.api.objects[MUTATING_WEBHOOKS.plural, "", CONFIGURATION])
        for webhook in obj["webhooks"]:
            del webhook["clientConfig"]["caBundle"]
        await self.api.replace(MUTATING_WEBHOOKS, obj)

    async def _run_controller(self) -> None:
        while True:
            try:
                await controller.run(self.api, self.settings, self.clock, self._record_event)
            except BaseExceptionGroup as group:
                killed, pods_behind = group.split(Crash)
                if killed is None or pods_behind is not None:
                    raise
                await asyncio.sleep(2)  # kubelet starts it again

    async def _record_event(self, _secret: Object, event: EventNote) -> None:
        self.events.append(event)

    async def _probe(self, at: Endpoint) -> x509.Certificate | None:
        await asyncio.sleep(0.01)
        (pod,) = [pod for pod in self.pods if pod.name == at.host]
        return None if pod.is_frozen else pod.certificate.served

    def _is_trusted(self, leaf: x509.Certificate, bundle: bytes) -> bool:
        now = self.clock()
        trusted = tuple(certificate for certificate in certificates_in(bundle, "bundle")) if bundle else ()
        return validation.is_trusted(leaf, trusted, NAMES, now)
