"""With an authority for clients, the webhook lets API servers in, and nobody else."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.pki import issue, validation
from certs.pki.pem import bundle_pem, encoded
from deploy.local.pki import Authority, Identity
from shared.objects.resources import Object
from tests.support.handshakes import shake_hands
from webhook.serving_certificate import ServingCertificate

NOW = datetime.now(UTC)
NAMES = validation.dns_names("r-webhook", "session-storage-system")
OURS = issue.issue_authority(NOW)
API_SERVER = Identity("kube-apiserver")


class Door:
    """A webhook's certificate, and clients that come to it."""

    def __init__(self, directory: Path, *, asks_clients: bool = True) -> None:
        self._directory = directory
        self.certificate = ServingCertificate(NAMES, lambda: NOW, asks_clients=asks_clients)
        self.certificate.on_change(None, secret())

    def lets_in(self, authority: Authority | None) -> bool:
        """Tell whether a client gets in that has a certificate by an authority, or none."""
        client = ssl.create_default_context(cadata=bundle_pem([OURS.certificate]).decode())
        if authority is not None:
            authority.issue(self._directory, "client", API_SERVER)
            client.load_cert_chain(self._directory / "client.crt", self._directory / "client.key")
        try:
            shake_hands(self.certificate.context, client, NAMES[0])
        except ssl.SSLError:
            return False
        return True


def secret() -> Object:
    leaf = issue.issue_serving(OURS, NAMES, NOW)
    content = {
        "tls.crt": leaf.certificate_pem,
        "tls.key": leaf.key_pem,
        "ca.crt": bundle_pem([OURS.certificate]),
    }
    return {"metadata": {"name": "tls"}, "data": {key: encoded(value) for key, value in content.items()}}


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


@pytest.fixture
def authority() -> Authority:
    return Authority("api servers")


def test_a_client_needs_a_certificate_by_the_authority(door: Door, authority: Authority) -> None:
    door.certificate.trust_clients(authority.certificate.decode())
    assert door.lets_in(authority)
    assert not door.lets_in(None)
    assert not door.lets_in(Authority("api servers"))


def test_nobody_gets_in_until_the_authority_is_known(door: Door, authority: Authority) -> None:
    assert not door.certificate.knows_clients
    assert not door.lets_in(authority)
    assert not door.lets_in(None)


def test_without_an_authority_every_client_gets_in(tmp_path: Path, authority: Authority) -> None:
    door = Door(tmp_path, asks_clients=False)
    assert door.certificate.knows_clients
    assert door.lets_in(None)
    assert door.lets_in(authority)


def test_another_authority_counts_at_once_and_the_former_one_no_longer(door: Door, authority: Authority) -> None:
    door.certificate.trust_clients(authority.certificate.decode())
    other = Authority("other api servers")
    door.certificate.trust_clients(other.certificate.decode())
    assert door.lets_in(other)
    assert not door.lets_in(authority)


def test_two_authorities_may_be_trusted_while_one_replaces_the_other(door: Door, authority: Authority) -> None:
    other = Authority("other api servers")
    door.certificate.trust_clients((authority.certificate + other.certificate).decode())
    assert door.lets_in(authority)
    assert door.lets_in(other)


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----", "no PEM"])
def test_an_authority_that_is_unusable_is_reported_and_the_former_one_stays(
    door: Door, authority: Authority, text: str
) -> None:
    door.certificate.trust_clients(authority.certificate.decode())
    door.certificate.trust_clients(text)
    assert door.certificate.client_problem
    assert door.lets_in(authority)
    assert not door.lets_in(None)
    door.certificate.trust_clients(authority.certificate.decode())
    assert not door.certificate.client_problem


def test_a_new_serving_certificate_leaves_the_authority_for_clients_as_it_is(door: Door, authority: Authority) -> None:
    door.certificate.trust_clients(authority.certificate.decode())
    door.certificate.on_change(None, secret())
    assert door.lets_in(authority)
    assert not door.lets_in(None)
