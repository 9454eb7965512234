"""Reads and writes the PEM entries of the two Secrets. Pure.

Both Secrets are of the type `kubernetes.io/tls`. Private keys leave this module only as the content of a Secret.
The reconciler issues elliptic-curve keys; a Secret that another issuer writes may hold an RSA key, and a chain.
"""

from __future__ import annotations

import base64
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.utils import CryptographyDeprecationWarning

from shared.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.objects.resources import Object

SECRET_TYPE: Final = "kubernetes.io/tls"
KEY_CERTIFICATE: Final = "tls.crt"
KEY_PRIVATE_KEY: Final = "tls.key"
KEY_BUNDLE: Final = "ca.crt"

PrivateKey: TypeAlias = EllipticCurvePrivateKey | RSAPrivateKey


class Slot(NamedTuple):
    """The two entries of a Secret that hold a pair."""

    certificate: str
    key: str


MAIN: Final = Slot(KEY_CERTIFICATE, KEY_PRIVATE_KEY)

UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    CryptographyDeprecationWarning,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for a certificate or key that it cannot read; some of these only when it is used."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key.

    Attributes:
        certificate: The leaf, or an authority's own.
        key: Its private key.
        chain: Authorities between the certificate and one that clients trust; empty if the reconciler issued it.
    """

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def certificate_pem(self) -> bytes:
        """The certificate for `tls.crt`, and its chain behind it."""
        return bundle_pem((self.certificate, *self.chain))

    @property
    def key_pem(self) -> bytes:
        """The private key for `tls.key`."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def entries(self, slot: Slot = MAIN) -> dict[str, str]:
        """Write the pair as `data` of a Secret."""
        return {slot.certificate: encoded(self.certificate_pem), slot.key: encoded(self.key_pem)}


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


def pair_of(secret: Object, slot: Slot = MAIN) -> Pair:
    """Read the certificate and key of a Secret, without checking whether they are valid.

    Raises:
        CertificateError: One of them is absent or malformed, or the key is neither an elliptic-curve nor an RSA key.
    """
    try:
        with warnings.catch_warnings():
            # The library only warns of a serial number below one (RFC 5280, section 4.1.2.2).
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            certificate, *chain = x509.load_pem_x509_certificates(entry(secret, slot.certificate))
        key = load_pem_private_key(entry(secret, slot.key), password=None)
        _parse_all_of(certificate)
        _refuse_unused_bits(certificate)
    except UNREADABLE as error:
        # The parser's message could quote a private key.
        raise CertificateError(f"{slot.certificate} or {slot.key} is malformed") from error
    if not isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey):
        raise CertificateError(f"{slot.key} is neither an elliptic-curve nor an RSA key")
    return Pair(certificate, key, tuple(chain))


def readable_pair(secret: Object | None) -> Pair | None:
    """Read the certificate and key of a Secret; None if there is no Secret, or `pair_of` cannot read it."""
    try:
        return pair_of(secret or {})
    except CertificateError:
        return None


def _refuse_unused_bits(certificate: x509.Certificate) -> None:
    """Refuse a signature with unused bits: this library ignores them, but Go's shifts the signature by them.

    Raises:
        ValueError: The signature has unused bits.
    """
    unused_bits = certificate.public_bytes(Encoding.DER)[-len(certificate.signature) - 1]
    if unused_bits:
        raise ValueError("the signature has unused bits")


def bundle_of(secret: Object, key: str = KEY_BUNDLE) -> tuple[x509.Certificate, ...]:
    """Read the CA certificates that a Secret carries beside its pair.

    Raises:
        CertificateError: The bundle is absent or malformed.
    """
    return certificates_in(entry(secret, key), key)


def certificates_in(pem: bytes, what: str) -> tuple[x509.Certificate, ...]:
    """Read all certificates of a PEM text.

    Raises:
        CertificateError: There is none, or one is malformed; the message names the text as `what`.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        for certificate in certificates:
            _parse_all_of(certificate)
    except UNREADABLE as error:
        raise CertificateError(f"{what} is malformed") from error
    return tuple(certificates)


def served_certificate(der: bytes) -> x509.Certificate:
    """Read the certificate that a server shows in a TLS handshake.

    Raises:
        CertificateError: It is malformed.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        _parse_all_of(certificate)
    except UNREADABLE as error:
        raise CertificateError("the server shows a malformed certificate") from error
    return certificate


def _parse_all_of(certificate: x509.Certificate) -> None:
    """Read the parts that the library parses only when somebody uses them, so that errors in them come up here."""
    certificate.public_key()
    _ = certificate.extensions
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc


def bundle_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Write CA certificates one after the other, as in `caBundle` and `ca.crt`."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def encoded(content: bytes) -> str:
    """Write bytes in base64, as Secrets and `caBundle` hold them."""
    return base64.b64encode(content).decode()
