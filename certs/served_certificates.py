"""Sees what each ready webhook pod serves: connects to it as an API server does, and reads its certificate."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509

from shared.objects.conditions import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.objects.resources import Key, Object

PORT_NAME: Final = "https"
"""Of the container's port; the Service leads to the same."""
DIAL_SECONDS: Final = 2.0
"""A handshake takes milliseconds; a frozen process takes the connection, and never answers."""
IDLE_SECONDS: Final = 30.0
BUSY_SECONDS: Final = 0.2
"""While a rotation waits for what is seen."""


class Endpoint(NamedTuple):
    """Where one incarnation of a pod listens."""

    uid: str
    host: str
    port: int


class Witness:
    """What each ready pod was seen to serve last."""

    def __init__(self, pods: Mapping[Key, Object], server_name: str, on_news: Callable[[], None]) -> None:
        """Look at nothing yet.

        Args:
            pods: The webhook's pods, kept up to date by somebody else.
            server_name: What API servers call the webhook.
            on_news: Called when something else is seen than before.
        """
        self._is_busy = False
        self._pods = pods
        self._server_name = server_name
        self._on_news = on_news
        self._asked = asyncio.Event()
        self._seen: dict[tuple[str, Endpoint], x509.Certificate | None] = {}
        self._context = ssl.create_default_context()
        # Whatever is served shall be seen; whether it is any good is decided by others.
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    @property
    def sightings(self) -> dict[str, x509.Certificate | None]:
        """What each pod that is ready now was seen to serve, by name; None if it was not seen at all."""
        return {name: self._seen.get((name, at)) for name, at in ready_endpoints(self._pods).items()}

    def look_often(self, *, often: bool) -> None:
        """Look several times a second while somebody waits for what is seen, or now and then."""
        if often and not self._is_busy:
            self._asked.set()
        self._is_busy = often

    def look_again(self) -> None:
        """Look at once."""
        self._asked.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self._asked.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BUSY_SECONDS if self._is_busy else IDLE_SECONDS):
                    await self._asked.wait()

    async def _look(self) -> None:
        endpoints = list(ready_endpoints(self._pods).items())
        leaves = await asyncio.gather(*(self._served(at) for _, at in endpoints))
        seen = dict(zip(endpoints, leaves, strict=True))
        if seen != self._seen:
            self._seen = seen
            self._on_news()

    async def _served(self, at: Endpoint) -> x509.Certificate | None:
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                _, writer = await asyncio.open_connection(
                    at.host, at.port, ssl=self._context, server_hostname=self._server_name
                )
        except (OSError, TimeoutError):
            return None
        der: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return x509.load_der_x509_certificate(der) if der else None


def ready_endpoints(pods: Mapping[Key, Object]) -> dict[str, Endpoint]:
    """List the pods that new connections are sent to: ready, and not on their way out."""
    return {
        pod["metadata"]["name"]: Endpoint(pod["metadata"]["uid"], pod["status"]["podIP"], port)
        for pod in pods.values()
        if _is_ready(pod) and (port := _port(pod))
    }


def _is_ready(pod: Object) -> bool:
    has_address = bool(pod.get("status", {}).get("podIP"))
    return has_address and holds(pod, "Ready") and not pod["metadata"].get("deletionTimestamp")


def _port(pod: Object) -> int | None:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    return next((port["containerPort"] for port in ports if port.get("name") == PORT_NAME), None)
