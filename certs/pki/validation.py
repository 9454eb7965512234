"""Judges certificates at a given instant. Pure: what is wrong comes back as data.

The reconciler asks before it replaces anything, the webhook asks before it serves a new certificate.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.pki.pem import MAIN, Pair, Slot, pair_of
from shared.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shared.objects.resources import Object


class Problem(StrEnum):
    """Why a Secret's certificate can't stay."""

    ABSENT = "there is none"
    MALFORMED = "certificate or key is malformed"
    KEY_MISMATCH = "the key belongs to another certificate"
    NOT_AN_AUTHORITY = "the certificate may not sign others"
    NOT_YET_VALID = "the certificate is not valid yet"
    EXPIRED = "the certificate has expired"
    RENEWAL_DUE = "it is time for a new one"
    REQUESTED = "somebody asked for a new one"
    UNTRUSTED = "no trusted authority vouches for this certificate and name"


def dns_names(service: str, namespace: str) -> tuple[str, ...]:
    """Tell what the API server calls the webhook (first) and what people do.

    Without the cluster's domain, which differs between clusters and which the API server does not use.
    """
    return f"{service}.{namespace}.svc", f"{service}.{namespace}"


def authority_problems(secret: Object | None, now: datetime, slot: Slot = MAIN) -> tuple[Problem, ...]:
    """List what keeps a pair in a Secret from being an authority that signs now."""
    pair = _read(secret, slot)
    if isinstance(pair, Problem):
        return (pair,)
    problems = _pair_problems(pair, now)
    if now == pair.certificate.not_valid_after_utc:
        # Valid still, but what it signs now is over as soon as it is made, and would be made again and again.
        problems.append(Problem.EXPIRED)
    if not may_sign(pair.certificate):
        problems.append(Problem.NOT_AN_AUTHORITY)
    return tuple(problems)


def serving_problems(
    secret: Object | None, trusted: Sequence[x509.Certificate], names: Sequence[str], now: datetime
) -> tuple[Problem, ...]:
    """List what keeps a Secret's pair from being served to clients that trust these authorities.

    Args:
        secret: The serving Secret, as the API holds it.
        trusted: CA certificates; the leaf must be signed by one of them.
        names: DNS names that the certificate must be good for.
        now: Aware instant.
    """
    pair = _read(secret, MAIN)
    if isinstance(pair, Problem):
        return (pair,)
    problems = _pair_problems(pair, now)
    # A chain is judged at one instant: outside the leaf's validity it would only repeat what is said already.
    if not problems and not is_vouched_for(pair.certificate, trusted, names, now, pair.chain):
        problems.append(Problem.UNTRUSTED)
    return tuple(problems)


def is_vouched_for(
    certificate: x509.Certificate,
    trusted: Sequence[x509.Certificate],
    names: Sequence[str],
    now: datetime,
    chain: Sequence[x509.Certificate] = (),
) -> bool:
    """Tell whether clients that trust these authorities take a certificate for every one of these names."""
    if not trusted:
        return False
    policy = PolicyBuilder().store(Store(list(trusted))).time(now)
    try:
        for name in names:
            policy.build_server_verifier(x509.DNSName(name)).verify(certificate, list(chain))
    except VerificationError:
        return False
    return True


def may_sign(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate is an authority's."""
    extensions = certificate.extensions
    try:
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    return usage.key_cert_sign and constraints.ca


def _read(secret: Object | None, slot: Slot) -> Pair | Problem:
    if secret is None:
        return Problem.ABSENT
    try:
        return pair_of(secret, slot)
    except CertificateError:
        return Problem.MALFORMED


def _pair_problems(pair: Pair, now: datetime) -> list[Problem]:
    certificate = pair.certificate
    problems = []
    if pair.key.public_key() != certificate.public_key():
        problems.append(Problem.KEY_MISMATCH)
    if now < certificate.not_valid_before_utc:
        problems.append(Problem.NOT_YET_VALID)
    if now > certificate.not_valid_after_utc:
        problems.append(Problem.EXPIRED)
    return problems
