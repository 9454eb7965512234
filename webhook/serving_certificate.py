"""The certificate that the webhook serves: swapped whenever its Secret changes, without a restart or a file on disk.

If the installation names an authority for API servers, clients need a certificate by it as well. Which clients the
webhook lets in changes with that authority, again without a restart.
"""

from __future__ import annotations

import logging
import os
import ssl
from typing import TYPE_CHECKING, Final

from certs.pki import validation
from certs.pki.pem import bundle_of, pair_of
from shared.errors import CertificateError
from webhook import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from cryptography import x509

    from certs.pki.pem import Pair
    from shared.objects.resources import Object

_log = logging.getLogger(__name__)
_NO_AUTHORITY: Final = "there is none"


class ServingCertificate:
    """The newest valid certificate.

    Attributes:
        context: The server keeps this one for its whole life; each handshake takes the certificate of that moment.
        problem: Why the webhook cannot serve the Secret as it is now; empty if it serves it.
        client_problem: Why the webhook cannot tell API servers from others by the authority for clients as it is now;
            empty if it can, or if the installation names none.
    """

    def __init__(self, names: Sequence[str], clock: Callable[[], datetime], *, asks_clients: bool = False) -> None:
        """Start without a certificate: until there is one, handshakes fail.

        Args:
            names: DNS names for which a certificate must be valid.
            clock: Tells the time, timezone-aware, at which a certificate must be valid.
            asks_clients: Whether clients need a certificate; until its authority is known, handshakes fail.
        """
        self._names = names
        self._clock = clock
        self._current: ssl.SSLContext | None = None
        self._served: Pair | None = None
        self._secret: Object | None = None
        self._clients: str | None = None
        self._asks_clients = asks_clients
        self.problem = ""
        self.client_problem = _NO_AUTHORITY if asks_clients else ""
        self.context = _bare_context(asks_clients=asks_clients)
        self.context.sni_callback = self._choose

    @property
    def is_loaded(self) -> bool:
        """Whether there is a certificate to serve."""
        return self._served is not None

    @property
    def knows_clients(self) -> bool:
        """Whether the webhook can let clients in: it knows by whom their certificates are, or asks for none."""
        return self._clients is not None or not self._asks_clients

    @property
    def served(self) -> x509.Certificate | None:
        """The certificate in use."""
        return self._served.certificate if self._served else None

    @property
    def has_expired(self) -> bool:
        """Whether the certificate in use has expired, so that clients refuse it."""
        return self._served is not None and self._clock() > self._served.certificate.not_valid_after_utc

    def on_change(self, _old: Object | None, secret: Object | None) -> None:
        """Serve a new certificate; keep the old one if the Secret is gone or invalid."""
        self._secret = secret
        try:
            pair = self._sound_pair(secret)
            self._current = self._context_of(pair)
        except CertificateError as error:
            self._refuse(str(error))
            return
        self._served, self.problem = pair, ""
        not_after = pair.certificate.not_valid_after_utc
        metrics.CERTIFICATE_NOT_AFTER.set(not_after.timestamp())
        metrics.SECRET_USABLE.set(1)
        _log.info("serving a new certificate", extra={"not_after": not_after.isoformat()})

    def trust_clients(self, authority: str) -> None:
        """Let in clients with a certificate by these authorities (PEM) and no others; keep the old ones if unusable."""
        self.client_problem = _problem_of(authority)
        if self.client_problem:
            _log.warning("the authority for clients is not usable", extra={"problem": self.client_problem})
            return
        self._clients = authority
        if self._served is not None:
            self._current = self._context_of(self._served)
        _log.info("clients need a certificate by another authority from now on")

    def look_again(self) -> None:
        """Check a refused Secret again: a certificate that was not valid yet may be valid now."""
        if self.problem:
            self.on_change(None, self._secret)

    def _refuse(self, problem: str) -> None:
        metrics.SECRET_USABLE.set(0)
        if problem == self.problem:
            return
        self.problem = problem
        metrics.CERTIFICATES_REFUSED.inc()
        _log.warning("serving Secret is not usable", extra={"problem": problem, "has_other": self.is_loaded})

    def _sound_pair(self, secret: Object | None) -> Pair:
        if secret is None:
            raise CertificateError(validation.Problem.ABSENT)
        problems = validation.serving_problems(secret, bundle_of(secret), self._names, self._clock())
        if problems:
            raise CertificateError("; ".join(problems))
        return pair_of(secret)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> int | None:
        if self._current is None or not self.knows_clients:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None

    def _context_of(self, pair: Pair) -> ssl.SSLContext:
        """Build a new context for a pair: the one in use could serve half of the old pair and half of the new.

        The ssl module reads only files. This file has no name and is in memory, so that the key never reaches a disk.
        """
        context = _bare_context(asks_clients=self._asks_clients)
        if self._clients is not None:
            context.load_verify_locations(cadata=self._clients)
        descriptor = os.memfd_create("serving-certificate")
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(pair.certificate_pem + pair.key_pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(f"the certificate and its key cannot be loaded: {error}") from error
        finally:
            os.close(descriptor)
        return context


def _bare_context(*, asks_clients: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if asks_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would pass by a certificate that nobody looks at again. API servers resume none.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _problem_of(authority: str) -> str:
    """Say why nobody's certificate can be verified by an authority (PEM); empty if it can."""
    if not authority:
        return _NO_AUTHORITY
    try:
        _bare_context(asks_clients=True).load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        return f"it is not certificates in PEM: {error}"
    return ""
