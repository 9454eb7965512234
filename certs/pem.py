"""PEM in and out: what the two Secrets hold, as keys and certificates. Pure.

Both Secrets are of the type `kubernetes.io/tls`. Private keys leave this module only as the content of a Secret.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.resources import Object

SECRET_TYPE: Final = "kubernetes.io/tls"
KEY_CERTIFICATE: Final = "tls.crt"
KEY_PRIVATE_KEY: Final = "tls.key"
KEY_BUNDLE: Final = "ca.crt"

_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate for `tls.crt`."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key for `tls.key`."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def entry(secret: Object, key: str) -> bytes:
    """Read one entry of a Secret; an absent one is empty.

    Raises:
        CertificateError: The entry is not base64.
    """
    encoded = (secret.get("data") or {}).get(key) or ""
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise CertificateError(f"{key} is not base64") from error


def pair_of(secret: Object) -> Pair:
    """Read the certificate and key of a Secret, without judging them.

    Raises:
        CertificateError: One of them is absent or malformed, or the key is no elliptic-curve key.
    """
    try:
        certificate = x509.load_pem_x509_certificate(entry(secret, KEY_CERTIFICATE))
        key = load_pem_private_key(entry(secret, KEY_PRIVATE_KEY), password=None)
        # Both are parsed lazily: whatever is wrong with them comes out here.
        certificate.public_key()
        _ = certificate.extensions
    except _UNREADABLE as error:
        # The parser's own words could quote what it was given.
        raise CertificateError(f"{KEY_CERTIFICATE} or {KEY_PRIVATE_KEY} is malformed") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise CertificateError(f"{KEY_PRIVATE_KEY} is no elliptic-curve key")
    return Pair(certificate, key)


def bundle_of(secret: Object) -> tuple[x509.Certificate, ...]:
    """Read the CA certificates that a serving Secret carries beside its leaf.

    Raises:
        CertificateError: The bundle is absent or malformed.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(entry(secret, KEY_BUNDLE)))
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateError(f"{KEY_BUNDLE} is malformed") from error


def bundle_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Write CA certificates one after the other, as `caBundle` and `ca.crt` want them."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def encoded(content: bytes) -> str:
    """Write bytes as Kubernetes objects carry them."""
    return base64.b64encode(content).decode()
