"""The prober reports the certificate that each ready pod really serves, and that a frozen pod serves none."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs import served_certificates
from certs.pki import issue, validation
from certs.pki.pem import Pair, bundle_pem, encoded
from certs.served_certificates import CertificateProber, Endpoint, ready_endpoints
from webhook.serving_certificate import ServingCertificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.objects.resources import Key, Object

NOW = datetime.now(UTC)
NAMES = validation.dns_names("r-webhook", "session-storage-system")
AUTHORITY = issue.issue_authority(NOW)


def leaf() -> Pair:
    return issue.issue_serving(AUTHORITY, NAMES, NOW)


def secret(pair: Pair) -> Object:
    content = {
        "tls.crt": pair.certificate_pem,
        "tls.key": pair.key_pem,
        "ca.crt": bundle_pem([AUTHORITY.certificate]),
    }
    return {"data": {key: encoded(value) for key, value in content.items()}}


def pod(name: str, port: int, ready: str = "True", **metadata: str) -> dict[Key, Object]:
    ports = [{"name": "http", "containerPort": 1}, {"name": "https", "containerPort": port}]
    return {
        ("ns", name): {
            "metadata": {"namespace": "ns", "name": name, "uid": f"uid-{name}", **metadata},
            "spec": {"containers": [{"name": "webhook", "ports": ports}]},
            "status": {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": ready}]},
        }
    }


@contextlib.asynccontextmanager
async def probing(pods: dict[Key, Object]) -> AsyncIterator[tuple[CertificateProber, asyncio.Event]]:
    news = asyncio.Event()
    prober = CertificateProber(pods, NAMES[0], news.set)
    task = asyncio.ensure_future(prober.run())
    try:
        async with asyncio.timeout(10):
            yield prober, news
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_the_prober_sees_each_new_certificate_as_soon_as_somebody_waits_for_it() -> None:
    serving = ServingCertificate(NAMES, lambda: NOW)
    first, second = leaf(), leaf()
    serving.on_change(None, secret(first))
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=serving.context)
    async with server, probing(pod("a", server.sockets[0].getsockname()[1])) as (prober, news):
        await news.wait()
        assert prober.served_leaves == {"a": first.certificate}
        news.clear()
        serving.on_change(None, secret(second))
        prober.probe_often(often=True)
        await news.wait()
        assert prober.served_leaves == {"a": second.certificate}


async def test_a_pod_that_asks_its_clients_for_a_certificate_shows_its_own_to_the_prober() -> None:
    serving = ServingCertificate(NAMES, lambda: NOW, asks_clients=True)
    own = leaf()
    serving.on_change(None, secret(own))
    serving.trust_clients(bundle_pem([issue.issue_authority(NOW).certificate]).decode())
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=serving.context)
    async with server, probing(pod("a", server.sockets[0].getsockname()[1])) as (prober, news):
        await news.wait()
        assert prober.served_leaves == {"a": own.certificate}


async def test_a_pod_that_accepts_a_connection_and_never_answers_serves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served_certificates, "HANDSHAKE_SECONDS", 0.05)
    talk = asyncio.Event()

    async def stay_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk.wait()
        writer.close()

    server = await asyncio.start_server(stay_silent, "127.0.0.1", 0)
    async with server, probing(pod("frozen", server.sockets[0].getsockname()[1])) as (prober, news):
        await news.wait()
        assert prober.served_leaves == {"frozen": None}
        talk.set()


async def test_a_pod_that_serves_a_certificate_which_nobody_can_read_serves_nothing() -> None:
    """Version 5 of X.509 does not exist; whoever may run a pod with the webhook's labels can serve one."""
    pair = leaf()
    der = pair.certificate.public_bytes(Encoding.DER)
    version_3, version_5 = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04"
    assert der.count(version_3) == 1
    odd = ssl.DER_cert_to_PEM_cert(der.replace(version_3, version_5))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(odd.encode() + pair.key_pem)
        file.flush()
        context.load_cert_chain(file.name)
    odd_server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    serving = ServingCertificate(NAMES, lambda: NOW)
    serving.on_change(None, secret(pair))
    good_server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=serving.context)
    ports = [server.sockets[0].getsockname()[1] for server in (odd_server, good_server)]
    async with odd_server, good_server, probing(pod("odd", ports[0]) | pod("good", ports[1])) as (prober, news):
        await news.wait()
        assert prober.served_leaves == {"odd": None, "good": pair.certificate}


async def test_a_pod_that_refuses_connections_serves_nothing() -> None:
    async with probing(pod("gone", 1)) as (prober, news):
        await news.wait()
        assert prober.served_leaves == {"gone": None}


def test_only_pods_that_get_new_connections_count() -> None:
    pods = {
        **pod("ready", 9443),
        **pod("unready", 9443, "False"),
        **pod("leaving", 9443, deletionTimestamp="2026-11-23T12:00:00Z"),
    }
    pending = pod("pending", 9443)
    pending["ns", "pending"]["status"] = {}
    assert ready_endpoints({**pods, **pending}) == {"ready": Endpoint("uid-ready", "127.0.0.1", 9443)}


async def test_a_pod_that_was_not_probed_yet_counts_as_serving_nothing() -> None:
    prober = CertificateProber(pod("new", 9443), NAMES[0], lambda: None)
    assert prober.served_leaves == {"new": None}
