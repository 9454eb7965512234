from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import uvloop
from cryptography import x509

from certs.pki import issue, validation
from certs.pki.pem import Pair, bundle_pem, encoded
from webhook import metrics
from webhook.serving_certificate import ServingCertificate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from shared.objects.resources import Object

NOW = datetime.now(UTC)
NAMES = validation.dns_names("r-webhook", "session-storage-system")
AUTHORITY = issue.issue_authority(NOW)


def pair(now: datetime = NOW, authority: Pair = AUTHORITY) -> Pair:
    return issue.issue_serving(authority, NAMES, now)


def secret(leaf: Pair, authority: Pair = AUTHORITY) -> Object:
    content = {
        "tls.crt": leaf.certificate_pem,
        "tls.key": leaf.key_pem,
        "ca.crt": bundle_pem([authority.certificate]),
    }
    return {"metadata": {"name": "tls"}, "data": {key: encoded(value) for key, value in content.items()}}


def clock() -> datetime:
    return NOW


def client_context(authority: Pair = AUTHORITY) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=bundle_pem([authority.certificate]).decode())


async def served(port: int, context: ssl.SSLContext, name: str = NAMES[0]) -> x509.Certificate:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    assert der is not None
    return x509.load_der_x509_certificate(der)


async def listening(certificate: ServingCertificate) -> tuple[asyncio.Server, int]:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=certificate.context)
    port: int = server.sockets[0].getsockname()[1]
    return server, port


async def swap() -> None:
    certificate = ServingCertificate(NAMES, clock)
    server, port = await listening(certificate)
    async with server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await served(port, client_context())
        first, second = pair(), pair()
        certificate.on_change(None, secret(first))
        assert await served(port, client_context()) == first.certificate
        certificate.on_change(secret(first), secret(second))
        assert await served(port, client_context()) == second.certificate
        certificate.on_change(secret(second), None)
        assert await served(port, client_context()) == second.certificate


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_each_handshake_takes_the_newest_certificate(run: Callable[[Coroutine[None, None, None]], None]) -> None:
    run(swap())


async def test_a_client_without_sni_is_served_too() -> None:
    certificate = ServingCertificate(NAMES, clock)
    leaf = pair()
    certificate.on_change(None, secret(leaf))
    server, port = await listening(certificate)
    context = client_context()
    context.check_hostname = False
    async with server:
        assert await served(port, context, name="") == leaf.certificate


async def test_tls_1_1_is_refused() -> None:
    certificate = ServingCertificate(NAMES, clock)
    certificate.on_change(None, secret(pair()))
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2
    server, port = await listening(certificate)
    context = client_context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await served(port, context)


@pytest.mark.parametrize(
    "unfit",
    [
        pytest.param(None, id="gone"),
        pytest.param({"data": None}, id="empty"),
        pytest.param({"data": {"tls.crt": "%", "tls.key": "%", "ca.crt": "%"}}, id="no base64"),
        pytest.param(secret(pair(NOW - timedelta(days=365))), id="expired"),
        pytest.param(secret(pair(), issue.issue_authority(NOW)), id="signed by another authority"),
        pytest.param(secret(Pair(pair().certificate, pair().key)), id="key of another certificate"),
        pytest.param(secret(issue.issue_serving(AUTHORITY, ("other.ns.svc",), NOW)), id="for another name"),
    ],
)
def test_an_unfit_secret_changes_nothing(unfit: Object | None) -> None:
    certificate = ServingCertificate(NAMES, clock)
    certificate.on_change(None, unfit)
    assert not certificate.is_loaded
    leaf = pair()
    certificate.on_change(None, secret(leaf))
    assert certificate.is_loaded
    certificate.on_change(None, unfit)
    assert certificate.is_loaded
    expiry = metrics.CERTIFICATE_NOT_AFTER.collect()
    assert [sample.value for family in expiry for sample in family.samples] == [
        leaf.certificate.not_valid_after_utc.timestamp()
    ]


class MovingClock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_the_problem_of_a_secret_is_reported_until_it_is_repaired() -> None:
    certificate = ServingCertificate(NAMES, clock)
    certificate.on_change(None, secret(pair()))
    assert certificate.problem == ""
    assert metrics.SECRET_USABLE._value.get() == 1
    certificate.on_change(None, None)
    assert certificate.problem == "there is no certificate"
    assert metrics.SECRET_USABLE._value.get() == 0
    certificate.on_change(None, secret(pair()))
    assert certificate.problem == ""
    assert metrics.SECRET_USABLE._value.get() == 1


def test_a_certificate_that_is_not_valid_yet_is_used_once_it_is() -> None:
    late = MovingClock()
    late.now = NOW - timedelta(hours=2)
    certificate = ServingCertificate(NAMES, late)
    leaf = pair()
    certificate.on_change(None, secret(leaf))
    assert not certificate.is_loaded
    certificate.look_again()
    assert not certificate.is_loaded
    late.now = NOW - timedelta(minutes=59)
    certificate.look_again()
    assert certificate.served == leaf.certificate


def test_certificates_are_back_dated_enough_for_a_clock_an_hour_late() -> None:
    certificate = ServingCertificate(NAMES, lambda: NOW - timedelta(minutes=59, seconds=59))
    certificate.on_change(None, secret(pair()))
    assert certificate.is_loaded


def test_an_expired_certificate_in_use_is_reported() -> None:
    moving = MovingClock()
    certificate = ServingCertificate(NAMES, moving)
    assert not certificate.has_expired
    certificate.on_change(None, secret(pair()))
    assert not certificate.has_expired
    moving.now += timedelta(days=31)
    assert certificate.has_expired
