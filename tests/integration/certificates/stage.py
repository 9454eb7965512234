"""The stage of the drills: an API server, two webhook processes behind a Service, a reconciler, and users at work.

The stage plays kubelet and kube-proxy, because there are no nodes: it probes each replica's readiness, writes it to the
Pod, and sends new connections to ready replicas.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from cryptography import x509

from deploy.local import api
from deploy.local.loopback import ControlPlane
from shared import errors
from shared.kubernetes.client import Cluster
from shared.objects.resources import PODS, Object
from tests.integration.certificates.backstage import Backstage
from tests.integration.certificates.load import Load, Tally
from tests.integration.certificates.relay import Relay
from tests.integration.certificates.replica import CONTROLLER, SERVICE, Replica, replica_set
from tests.integration.control_plane import Kubectl
from tests.integration.installation import NAMESPACE
from tests.integration.loopback import free_port
from tests.integration.processes import Process, eventually

AUTHORITY, SERVING = f"{SERVICE}-ca", f"{SERVICE}-tls"
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{SERVICE}"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
ROTATE = "toolhive.stacklok.dev/rotate-certificates"
PROBE_SECONDS = 0.2
PROBE_FAILURES = 3
SHORTEST_SECONDS = 2.0
LEAST_RATE = 50.0
"""Creates per second that a drill must at least have been under."""

_log = logging.getLogger(__name__)


class Stage:
    """An API server with the chart's objects, the webhook's replicas, and users at work."""

    def __init__(
        self, control_plane: ControlPlane, kubectl: Kubectl, service: Relay, network: Relay, processes: Path
    ) -> None:
        self.kubectl = kubectl
        self.service = service
        self.network = network
        self.directory = processes
        self.client = api.Client(control_plane.kubeconfig)
        self.backstage = Backstage()
        self.replicas: list[Replica] = []
        self.environs: dict[str, dict[str, str]] = {}
        self._kubeconfig = control_plane.kubeconfig
        self._load = Load(control_plane.kubeconfig)
        self._supervised: list[Process] = []
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Run the network, the Service, the probes and the users until the block ends."""
        stack = contextlib.AsyncExitStack()
        self._cluster = self.backstage.do(self._set_up(stack))
        try:
            yield
        finally:
            self.backstage.do(self._take_down(stack))
            self.backstage.close()

    def process(self, component: str, name: str, module: str = "", **environ: str) -> Process:
        ports = {"HTTP_PORT": str(free_port()), "WEBHOOK_PORT": str(free_port()), "POD_NAME": name}
        return Process(module or component, self.environs[component] | ports | environ, self.directory / f"{name}.log")

    def add_replica(self, name: str, module: str = "", **environ: str) -> Replica:
        """Start a replica and wait until the Service sends connections to it."""
        replica = Replica(name, self.process("webhook", name, module, **environ))
        replica.process.start()
        owner = json.loads(self.kubectl("apply", "-f", "-", "--output=json", stdin=json.dumps(replica_set())))
        self.kubectl("create", "-f", "-", f"--as={CONTROLLER}", stdin=json.dumps(replica.pod(owner)))
        self.replicas.append(replica)
        eventually(lambda: replica.port in self.service.backends, what=f"{name} ready: {replica.process.log}")
        return replica

    def remove_replica(self, replica: Replica) -> None:
        """End a replica as Kubernetes does: take it out of the Service, let it drain, and then end it."""
        self.replicas.remove(replica)
        self._route()
        self.backstage.do(self._cluster.delete(PODS, NAMESPACE, replica.name))
        assert replica.process.terminate() == 0, replica.process.log

    def kill_replicas(self) -> None:
        for replica in self.replicas:
            replica.process.kill()

    @contextlib.contextmanager
    def supervised(self, process: Process) -> Iterator[Process]:
        """Run a process, and start it again whenever it has ended, as kubelet does."""
        process.start()
        self._supervised.append(process)
        try:
            yield process
        finally:
            self._supervised.remove(process)
            process.kill()

    @contextlib.contextmanager
    def users_at_work(self, what: str) -> Iterator[Tally]:
        """Count the results of users' creates while the block runs, once the Service reaches every replica.

        Certificates of seconds may have expired since the last drill, and a replica without one is not ready.
        """
        eventually(lambda: len(self.service.backends) == len(self.replicas), what="the Service reaches every replica")
        tally = self._load.begin()
        yield tally
        # A fault may take effect a little later.
        time.sleep(max(0.0, tally.begun + SHORTEST_SECONDS - time.monotonic()))
        self.backstage.do(self._load.end(tally))
        _log.info("%s: %s", what, tally)

    # Objects in the cluster

    def secret(self, name: str) -> Object:
        found: Object | None = self.client.get(f"{SECRETS}/{name}")
        assert found is not None, f"there is no Secret {name}"
        return found

    def entry(self, name: str, key: str) -> bytes:
        return base64.b64decode(self.secret(name)["data"].get(key, ""))

    def bundles(self) -> set[bytes]:
        configuration: Object | None = self.client.get(CONFIGURATION)
        assert configuration is not None
        entries = (webhook["clientConfig"].get("caBundle", "") for webhook in configuration["webhooks"])
        return {base64.b64decode(entry) for entry in entries}

    def authority(self) -> bytes:
        return self.entry(AUTHORITY, "tls.crt")

    def leaf(self) -> x509.Certificate:
        pem = self.entry(SERVING, "tls.crt")
        assert pem.startswith(b"-----BEGIN"), "the leaf is absent"
        return x509.load_pem_x509_certificate(pem)

    def is_stable(self) -> bool:
        """Return whether one authority is left, API servers trust it and no other, and it has signed the leaf."""
        data = self.secret(AUTHORITY)["data"]
        authority = base64.b64decode(data["tls.crt"])
        issuer = x509.load_pem_x509_certificate(authority)
        is_alone = not {"next.crt", "retired.crt"} & data.keys() and self.bundles() == {authority}
        return is_alone and self.leaf().issuer == issuer.subject and self.entry(SERVING, "ca.crt") == authority

    def count(self, process: Process, metric: str) -> float:
        """Read a metric of a process; 0 if it is absent."""
        return process.metric(metric) or 0.0

    def await_stable(self, seconds: float = 30) -> None:
        eventually(self.is_stable, seconds=seconds, what="one authority, trusted by all")

    def await_rotated(self, before: bytes, seconds: float = 30) -> None:
        eventually(
            lambda: self.authority() != before and self.is_stable(), seconds=seconds, what="another authority for all"
        )

    def ask_for_rotation(self, request: str) -> None:
        self.kubectl("annotate", "secret", SERVING, f"{ROTATE}={request}", "--overwrite", "-n", NAMESPACE)

    def edit_serving(self, **entries: bytes) -> None:
        data = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in entries.items()}
        secret = self.secret(SERVING)
        self.kubectl("replace", "-f", "-", stdin=json.dumps({**secret, "data": {**secret["data"], **data}}))

    def _route(self) -> None:
        self.service.backends = tuple(replica.port for replica in self.replicas if replica.is_ready)

    async def _set_up(self, stack: contextlib.AsyncExitStack) -> Cluster:
        cluster = await stack.enter_async_context(
            await Cluster.connect(user_agent="stage", kubeconfig=str(self._kubeconfig))
        )
        for relay in (self.service, self.network):
            await stack.enter_async_context(relay.serving())
        prober = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(1)))
        self._tasks = [asyncio.ensure_future(self._load.run()), asyncio.ensure_future(self._probe(prober, cluster))]
        return cluster

    async def _take_down(self, stack: contextlib.AsyncExitStack) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await stack.aclose()

    async def _probe(self, session: aiohttp.ClientSession, cluster: Cluster) -> None:
        """Probe replicas' readiness as the kubelet does, and route connections by it as kube-proxy does."""
        while True:
            for replica in list(self.replicas):
                await self._look_at(replica, session, cluster)
            for process in list(self._supervised):
                if process.has_ended:
                    process.start()
            await asyncio.sleep(PROBE_SECONDS)

    async def _look_at(self, replica: Replica, session: aiohttp.ClientSession, cluster: Cluster) -> None:
        url = f"http://127.0.0.1:{replica.process.environ['HTTP_PORT']}/readyz"
        try:
            async with session.get(url) as response:
                answers = response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            answers = False
        replica.failures = 0 if answers else replica.failures + 1
        was_ready = replica.is_ready
        replica.is_ready = answers or (was_ready and replica.failures < PROBE_FAILURES)
        if replica.is_ready != was_ready:
            with contextlib.suppress(errors.NotFound):
                await cluster.apply(PODS, replica.status, field_manager="kubelet", subresource="status")
            self._route()


def assert_nobody_noticed(tally: Tally) -> None:
    assert not tally.failures, f"{tally}: {tally.failures[0].said}"
    assert tally.rate >= LEAST_RATE, str(tally)
