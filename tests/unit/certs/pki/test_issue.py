"""Issued certificates pass a strict verifier and a real TLS handshake."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store

from certs.pki import issue, validation
from certs.pki.pem import Pair, bundle_pem

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = validation.dns_names("release-webhook", "session-storage-system")


@pytest.fixture(name="authority")
def authority_fixture() -> Pair:
    return issue.issue_authority(NOW)


def test_a_strict_verifier_builds_the_chain_for_every_name(authority: Pair) -> None:
    leaf = issue.issue_serving(authority, NAMES, NOW)
    policy = PolicyBuilder().store(Store([authority.certificate])).time(NOW)
    for name in NAMES:
        chain = policy.build_server_verifier(x509.DNSName(name)).verify(leaf.certificate, [])
        assert chain == [leaf.certificate, authority.certificate]


def test_names_end_in_svc_or_namespace_and_never_in_a_cluster_domain() -> None:
    assert NAMES == ("release-webhook.session-storage-system.svc", "release-webhook.session-storage-system")


def test_the_authority_signs_leaves_only_and_serves_nothing(authority: Pair) -> None:
    extensions = authority.certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature


def test_a_leaf_serves_only_and_names_its_issuers_key(authority: Pair) -> None:
    extensions = issue.issue_serving(authority, NAMES, NOW).certificate.extensions
    issuer_key = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == issuer_key
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        x509.oid.ExtendedKeyUsageOID.SERVER_AUTH
    ]


def test_validity_starts_an_hour_ago(authority: Pair) -> None:
    leaf = issue.issue_serving(authority, NAMES, NOW)
    for certificate in (authority.certificate, leaf.certificate):
        assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert authority.certificate.not_valid_after_utc == NOW + timedelta(days=365)
    assert leaf.certificate.not_valid_after_utc == NOW + timedelta(days=30)


def test_a_leaf_does_not_outlive_its_authority(authority: Pair) -> None:
    leaf = issue.issue_serving(authority, NAMES, NOW + timedelta(days=350))
    assert leaf.certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_serials_and_authority_names_are_never_the_same_twice() -> None:
    authorities = [issue.issue_authority(NOW).certificate for _ in range(20)]
    assert len({certificate.serial_number for certificate in authorities}) == 20
    assert len({certificate.subject for certificate in authorities}) == 20


def test_keys_are_p256_and_do_not_show_in_text(authority: Pair) -> None:
    assert isinstance(authority.key, ec.EllipticCurvePrivateKey)
    assert isinstance(authority.key.curve, ec.SECP256R1)
    assert "key" not in repr(authority)


def test_openssl_in_strict_mode_accepts_a_leaf_with_two_authorities_in_any_order() -> None:
    now = datetime.now(UTC)
    authority, other = issue.issue_authority(now), issue.issue_authority(now)
    leaf = issue.issue_serving(authority, NAMES, now)
    for bundle in ([authority.certificate, other.certificate], [other.certificate, authority.certificate]):
        client = ssl.create_default_context(cadata=bundle_pem(bundle).decode())
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        assert _greeting(_server(leaf), client, NAMES[0]) == b"hello"


def test_openssl_refuses_an_authority_that_did_not_sign() -> None:
    now = datetime.now(UTC)
    leaf = issue.issue_serving(issue.issue_authority(now), NAMES, now)
    stranger = issue.issue_authority(now).certificate
    client = ssl.create_default_context(cadata=bundle_pem([stranger]).decode())
    with pytest.raises(ssl.SSLCertVerificationError):
        _greeting(_server(leaf), client, NAMES[0])


def _server(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor = os.memfd_create("pair")
    try:
        os.write(descriptor, pair.certificate_pem + pair.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def _greeting(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes:
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(far, server_side=True) as connection:
                connection.sendall(b"hello")
        except (ssl.SSLError, ConnectionError):
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=name) as connection:
            return connection.recv(5)
    finally:
        near.close()
        thread.join()
