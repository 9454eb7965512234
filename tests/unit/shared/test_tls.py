"""Clients verify servers as Go's `crypto/tls` does."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from shared import tls
from tests.support import handshakes
from tests.support.handshakes import BAD, FLAWED, Case


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    handshakes.imitate_python_313(monkeypatch)


def test_a_certificate_without_key_identifiers_is_accepted_where_pythons_default_refuses_it(tmp_path: Path) -> None:
    server = handshakes.server(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="Missing Authority Key Identifier"):
        handshakes.shake_hands(server.context, ssl.create_default_context(cadata=server.authority))
    assert handshakes.shake_hands(server.context, tls.client_context(cadata=server.authority)) == "TLSv1.3"
    assert handshakes.shake_hands(server.context, tls.client_context(cafile=str(server.authority_file))) == "TLSv1.3"
    assert handshakes.shake_hands(server.context, tls.client_context(cadata=server.authority), "127.0.0.1")


@pytest.mark.parametrize(("complaint", "case"), FLAWED.items(), ids=FLAWED)
def test_an_authority_is_accepted_that_pythons_default_refuses_for_a_rule_of_its_own(
    tmp_path: Path, complaint: str, case: Case
) -> None:
    server = handshakes.server(tmp_path, case)
    with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
        handshakes.shake_hands(server.context, ssl.create_default_context(cadata=server.authority))
    assert handshakes.shake_hands(server.context, tls.client_context(cadata=server.authority)) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshakes.shake_hands(server.context, tls.client_context(cadata=server.authority), "elsewhere.invalid")


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_go_refuses_is_refused(tmp_path: Path, case: Case) -> None:
    server = handshakes.server(tmp_path, case)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshakes.shake_hands(server.context, tls.client_context(cadata=server.authority))


def test_a_certificate_that_is_trusted_itself_needs_no_authority(tmp_path: Path) -> None:
    """Go starts a chain at any certificate of the pool, Python before 3.13 at self-signed ones alone."""
    server = handshakes.server(tmp_path)
    trusting = tls.client_context(cadata=server.certificate)
    assert handshakes.shake_hands(server.context, trusting) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshakes.shake_hands(server.context, trusting, "elsewhere.invalid")


def test_only_the_given_authority_is_trusted(tmp_path: Path) -> None:
    given = tls.client_context(cadata=handshakes.server(tmp_path).authority)
    assert given.cert_store_stats() == {"x509": 1, "crl": 0, "x509_ca": 1}


def test_text_that_is_no_certificate_is_refused() -> None:
    with pytest.raises(ssl.SSLError):
        tls.client_context(cadata="nonsense")
