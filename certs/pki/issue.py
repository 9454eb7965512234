"""Issues the certificate authority and the webhook's serving certificate. Pure but for new keys and serials.

All keys are P-256: a new one takes 0.01 ms, where RSA-2048 would hold up the event loop for 40 ms.
Every certificate carries SubjectKeyIdentifier, AuthorityKeyIdentifier and KeyUsage: with two authorities in one bundle,
OpenSSL otherwise picks by subject alone, and strict verifiers refuse such certificates (RFC 5280 §4.2.1.1-3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.pki.lifetimes import DEFAULT, Lifetimes
from certs.pki.pem import Pair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def issue_authority(now: datetime, title: str = "session storage webhook CA", lifetimes: Lifetimes = DEFAULT) -> Pair:
    """Issue a self-signed certificate authority that may sign leaves only.

    Args:
        now: Aware instant; validity starts earlier by the back-dating.
        title: Beginning of its name; a serial number follows, so that each authority has another name.
        lifetimes: How long it is valid.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Verifiers that look an issuer up by its name must not mistake one authority of ours for another.
    name = _name(f"{title} {serial:x}")
    builder = (
        _builder(key.public_key(), serial, now - lifetimes.back_dating)
        .subject_name(name)
        .issuer_name(name)
        .not_valid_after(now + lifetimes.authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return Pair(builder.sign(key, SHA256()), key)


def issue_serving(authority: Pair, dns_names: Sequence[str], now: datetime, lifetimes: Lifetimes = DEFAULT) -> Pair:
    """Issue a serving certificate that does not outlive its authority.

    Args:
        authority: The authority that signs.
        dns_names: The names that API servers may use; at least one.
        now: Aware instant; validity starts earlier by the back-dating.
        lifetimes: How long it is valid.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    key_identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(key.public_key(), x509.random_serial_number(), now - lifetimes.back_dating)
        .subject_name(_name("session storage webhook"))
        .issuer_name(issuer.subject)
        .not_valid_after(min(now + lifetimes.serving, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier),
            critical=False,
        )
    )
    return Pair(builder.sign(authority.key, SHA256()), key)


def _builder(public_key: ec.EllipticCurvePublicKey, serial: int, start: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(start)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    # A common name may have 64 characters (RFC 5280 appendix A.1, ub-common-name).
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
