"""Probes which certificate each ready webhook pod serves: connects as an API server does, and reads the leaf."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

from certs.pki.pem import served_certificate
from shared.errors import CertificateError
from shared.objects.conditions import holds
from shared.objects.resources import is_terminating

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography import x509

    from shared.objects.resources import Key, Object

PORT_NAME: Final = "https"
"""Name of the container port; the Service sends API servers to the same port."""
HANDSHAKE_SECONDS: Final = 2.0
"""A handshake takes milliseconds; a frozen process accepts the connection and never answers."""
PROBE_SECONDS: Final = 30.0
FREQUENT_PROBE_SECONDS: Final = 0.2
"""Pause between probes while a rotation waits for pods to load a new certificate."""


class Endpoint(NamedTuple):
    """Where one incarnation of a pod listens."""

    uid: str
    host: str
    port: int


class CertificateProber:
    """Probes every ready pod again and again, and remembers the leaf that each served last."""

    def __init__(self, pods: Mapping[Key, Object], server_name: str, on_change: Callable[[], None]) -> None:
        """Begin without having probed any pod.

        Args:
            pods: The webhook's pods; an informer keeps the mapping up to date.
            server_name: The DNS name by which API servers call the webhook.
            on_change: Called when a pod serves another leaf than before.
        """
        self._probes_often = False
        self._pods = pods
        self._server_name = server_name
        self._on_change = on_change
        self._requested = asyncio.Event()
        self._leaves: dict[tuple[str, Endpoint], x509.Certificate | None] = {}
        self._context = ssl.create_default_context()
        # The prober reports whatever a pod serves; the planner judges whether it is valid.
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    @property
    def served_leaves(self) -> dict[str, x509.Certificate | None]:
        """The leaf of each pod that is ready now, by the pod's name; None if it showed none that can be read."""
        return {name: self._leaves.get((name, at)) for name, at in ready_endpoints(self._pods).items()}

    def probe_often(self, *, often: bool) -> None:
        """Probe several times a second, or every half minute."""
        if often and not self._probes_often:
            self._requested.set()
        self._probes_often = often

    def probe_now(self) -> None:
        """Probe without waiting for the next turn."""
        self._requested.set()

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            self._requested.clear()
            await self._probe_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FREQUENT_PROBE_SECONDS if self._probes_often else PROBE_SECONDS):
                    await self._requested.wait()

    async def _probe_all(self) -> None:
        endpoints = list(ready_endpoints(self._pods).items())
        leaves = await asyncio.gather(*(self._probe(endpoint) for _, endpoint in endpoints))
        found = dict(zip(endpoints, leaves, strict=True))
        if found != self._leaves:
            self._leaves = found
            self._on_change()

    async def _probe(self, endpoint: Endpoint) -> x509.Certificate | None:
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                _, writer = await asyncio.open_connection(
                    endpoint.host, endpoint.port, ssl=self._context, server_hostname=self._server_name
                )
        except (OSError, TimeoutError):
            return None
        der: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        try:
            return served_certificate(der) if der else None
        except CertificateError:
            return None  # no API server could read it either


def ready_endpoints(pods: Mapping[Key, Object]) -> dict[str, Endpoint]:
    """List the pods to which the Service sends new connections: ready, and not being deleted."""
    return {
        pod["metadata"]["name"]: Endpoint(pod["metadata"]["uid"], pod["status"]["podIP"], port)
        for pod in pods.values()
        if _is_ready(pod) and (port := _port(pod))
    }


def _is_ready(pod: Object) -> bool:
    has_address = bool(pod.get("status", {}).get("podIP"))
    return has_address and holds(pod, "Ready") and not is_terminating(pod)


def _port(pod: Object) -> int | None:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    return next((port["containerPort"] for port in ports if port.get("name") == PORT_NAME), None)
