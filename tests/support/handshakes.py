"""TLS servers whose certificates somebody made by hand, without key identifiers and key usage.

`deploy.local.pki` issues such certificates for the local cluster; these tests use the same ones. Others follow RFC 5280
but for one rule each.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from certs.pki import issue
from certs.pki.pem import Pair
from deploy.local.pki import LIFETIME, Authority, Identity

NAME: Final = "localhost"
MADE: Final = ssl.create_default_context
STRICT: Final = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
"""What Python 3.13, which the product's image has, adds to every default context."""


class Flaw(Enum):
    """The only rule of RFC 5280 that an authority's certificate breaks; its value is what strict OpenSSL says of it.

    Go asks for none of the three (`crypto/x509`, `Certificate.isValid`).
    """

    NO_SUBJECT_KEY_IDENTIFIER = "Missing Subject Key Identifier"
    NO_KEY_USAGE = "CA cert does not include key usage extension"
    CONSTRAINTS_NOT_CRITICAL = "Basic Constraints of CA cert not marked critical"


_LACKS: Final[dict[Flaw, tuple[type[x509.ExtensionType], ...]]] = {
    Flaw.NO_SUBJECT_KEY_IDENTIFIER: (x509.SubjectKeyIdentifier,),
    Flaw.NO_KEY_USAGE: (x509.KeyUsage,),
}


@dataclass(frozen=True)
class Case:
    """A server's certificate.

    Attributes:
        hosts: The names that it is for.
        user: The common name of its subject.
        lifetime: How long it is valid from now on.
        is_trusted: Whether the client is given the authority that signed it, and not another one.
        flaw: What is wrong with the authority's certificate, if all else follows RFC 5280.
    """

    hosts: tuple[str, ...] = (NAME, "127.0.0.1")
    user: str = "server"
    lifetime: timedelta = LIFETIME
    is_trusted: bool = True
    flaw: Flaw | None = None


GOOD: Final = Case()
FLAWED: Final = {flaw.value: Case(flaw=flaw) for flaw in Flaw}
"""Certificates that Go accepts, and Python's default does not, each for another reason."""
BAD: Final = {
    "another name": Case(hosts=("elsewhere.invalid",)),
    # OpenSSL reads names from the subject where the certificate lists addresses alone; Go has not since 1.15.
    "a name in the subject alone": Case(hosts=("192.0.2.1",), user=NAME),
    "out of date": Case(lifetime=timedelta(minutes=-1)),
    "of an unknown authority": Case(is_trusted=False),
}
"""Certificates that Go refuses for the name `localhost`."""


@dataclass(frozen=True)
class Server:
    """How to serve a certificate and how to verify it.

    Attributes:
        context: The server's context.
        authority: The authority that the client is to trust, in PEM.
        authority_file: The same as a file.
        certificate: The server's own certificate in PEM.
    """

    context: ssl.SSLContext
    authority: str
    authority_file: Path
    certificate: str


def server(directory: Path, case: Case = GOOD) -> Server:
    """Issue the certificate of a case."""
    trusted = _issue_by_hand(directory, case) if case.flaw is None else _issue_by_the_book(directory, case.flaw)
    (directory / "ca.crt").write_bytes(trusted)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    certificate = (directory / "server.crt").read_text()
    return Server(context, trusted.decode(), directory / "ca.crt", certificate)


def _issue_by_hand(directory: Path, case: Case) -> bytes:
    """Write the server's certificate and key, and return the authority that the client is given."""
    authority = Authority("by hand")
    authority.issue(directory, "server", Identity(case.user, hosts=case.hosts), case.lifetime)
    return authority.certificate if case.is_trusted else Authority("by hand").certificate


def _issue_by_the_book(directory: Path, flaw: Flaw) -> bytes:
    """Do the same, with certificates as the product issues them for its webhook, but for a flaw of the authority's."""
    now = datetime.now(UTC)
    authority = issue.issue_authority(now)
    server_pair = issue.issue_serving(authority, [NAME], now)
    (directory / "server.crt").write_bytes(server_pair.certificate_pem)
    (directory / "server.key").write_bytes(server_pair.key_pem)
    return _flawed(authority, flaw).certificate_pem


def _flawed(authority: Pair, flaw: Flaw) -> Pair:
    """Sign an authority's certificate again, with a flaw."""
    sound = authority.certificate
    builder = (
        x509.CertificateBuilder()
        .issuer_name(sound.issuer)
        .subject_name(sound.subject)
        .public_key(sound.public_key())
        .serial_number(sound.serial_number)
        .not_valid_before(sound.not_valid_before_utc)
        .not_valid_after(sound.not_valid_after_utc)
    )
    # Without a path length, which an authority may only have beside its key usage.
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    builder = builder.add_extension(constraints, critical=flaw is not Flaw.CONSTRAINTS_NOT_CRITICAL)
    for extension in sound.extensions:
        if not isinstance(extension.value, (x509.BasicConstraints, *_LACKS.get(flaw, ()))):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    return replace(authority, certificate=builder.sign(authority.key, SHA256()))


def imitate_python_313(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make default contexts as strict as Python 3.13 does, so that tests with an older one see what users see."""

    def create(purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, **trusted: str | None) -> ssl.SSLContext:
        context = MADE(purpose, **trusted)
        context.verify_flags |= STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


def shake_hands(server_side: ssl.SSLContext, client_side: ssl.SSLContext, name: str = NAME) -> str | None:
    """Shake hands in memory, and return the version of TLS that the client agreed to.

    Raises:
        ssl.SSLError: One of the two refused the other.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server_side.wrap_bio(to_server, to_client, server_side=True),
        client_side.wrap_bio(to_client, to_server, server_hostname=name),
    ]
    pending = [1, 0]
    while pending:
        end = pending.pop(0)
        try:
            ends[end].do_handshake()
        except ssl.SSLWantReadError:
            pending.append(end)
    return ends[1].version()
