"""TLS servers whose certificates somebody made by hand, without key identifiers and key usage.

`deploy.local.pki` issues such certificates for the local cluster; these tests use the same ones.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from deploy.local.pki import LIFETIME, Authority, Identity

NAME: Final = "localhost"
MADE: Final = ssl.create_default_context
STRICT: Final = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
"""What Python 3.13, which the product's image has, adds to every default context."""


@dataclass(frozen=True)
class Case:
    """A server's certificate.

    Attributes:
        hosts: The names that it is for.
        user: The common name of its subject.
        lifetime: How long it is valid from now on.
        is_trusted: Whether the client is given the authority that signed it, and not another one.
    """

    hosts: tuple[str, ...] = (NAME, "127.0.0.1")
    user: str = "server"
    lifetime: timedelta = LIFETIME
    is_trusted: bool = True


GOOD: Final = Case()
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
    authority = Authority("by hand")
    authority.issue(directory, "server", Identity(case.user, hosts=case.hosts), case.lifetime)
    trusted = authority if case.is_trusted else Authority("by hand")
    trusted.write(directory, "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    certificate = (directory / "server.crt").read_text()
    return Server(context, trusted.certificate.decode(), directory / "ca.crt", certificate)


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
