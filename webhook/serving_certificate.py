"""The certificate that the webhook serves: swapped whenever its Secret changes, without a restart or a file on disk."""

from __future__ import annotations

import logging
import os
import ssl
from typing import TYPE_CHECKING

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


class ServingCertificate:
    """The newest valid certificate.

    Attributes:
        context: The server keeps this one for its whole life; each handshake takes the certificate of that moment.
        problem: Why the webhook cannot serve the Secret as it is now; empty if it serves it.
    """

    def __init__(self, names: Sequence[str], clock: Callable[[], datetime]) -> None:
        """Start without a certificate: until there is one, handshakes fail.

        Args:
            names: DNS names for which a certificate must be valid.
            clock: Tells the time, timezone-aware, at which a certificate must be valid.
        """
        self._names = names
        self._clock = clock
        self._current: ssl.SSLContext | None = None
        self._served: Pair | None = None
        self._secret: Object | None = None
        self.problem = ""
        self.context = _bare_context()
        self.context.sni_callback = self._choose

    @property
    def is_loaded(self) -> bool:
        """Whether there is a certificate to serve."""
        return self._served is not None

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
            self._current = _context_of(pair)
        except CertificateError as error:
            self._refuse(str(error))
            return
        self._served, self.problem = pair, ""
        not_after = pair.certificate.not_valid_after_utc
        metrics.CERTIFICATE_NOT_AFTER.set(not_after.timestamp())
        metrics.SECRET_USABLE.set(1)
        _log.info("serving a new certificate", extra={"not_after": not_after.isoformat()})

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
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


def _bare_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _context_of(pair: Pair) -> ssl.SSLContext:
    """Build a new context for a pair: reloading the one in use could serve half of the old pair and half of the new.

    The ssl module reads only files. This file has no name and is in memory, so that the key never reaches a disk.
    """
    context = _bare_context()
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
