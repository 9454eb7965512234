"""Checks certificates at a given instant, and returns the problems as data. Pure.

The reconciler checks before it replaces a certificate, the webhook before it serves a new one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.pki.pem import MAIN, UNREADABLE, Pair, Slot, pair_of
from shared.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shared.objects.resources import Object


class Problem(StrEnum):
    """Why the certificate in a Secret has to be replaced."""

    ABSENT = "there is no certificate"
    MALFORMED = "certificate or key is malformed"
    KEY_MISMATCH = "the key belongs to another certificate"
    NOT_AN_AUTHORITY = "the certificate may not sign others"
    NOT_YET_VALID = "the certificate is not valid yet"
    EXPIRED = "the certificate has expired"
    RENEWAL_DUE = "it is due for renewal"
    REQUESTED = "somebody asked for a rotation"
    UNTRUSTED = "no trusted authority signed this certificate for this name"


def dns_names(service: str, namespace: str) -> tuple[str, ...]:
    """List the webhook's DNS names; API servers use the first, people the second.

    Neither has the cluster's domain, which differs between clusters and which API servers do not use.
    """
    return f"{service}.{namespace}.svc", f"{service}.{namespace}"


def authority_problems(secret: Object | None, now: datetime, slot: Slot = MAIN) -> tuple[Problem, ...]:
    """List why the pair in a Secret cannot be an authority that signs now."""
    pair = _read(secret, slot)
    if isinstance(pair, Problem):
        return (pair,)
    problems = _pair_problems(pair, now)
    if now == pair.certificate.not_valid_after_utc:
        # Still valid, but a leaf that it signs now expires at once, and the planner would issue one after the other.
        problems.append(Problem.EXPIRED)
    if not may_sign(pair.certificate):
        problems.append(Problem.NOT_AN_AUTHORITY)
    return tuple(problems)


def serving_problems(
    secret: Object | None, trusted: Sequence[x509.Certificate], names: Sequence[str], now: datetime
) -> tuple[Problem, ...]:
    """List why clients that trust these authorities would refuse the pair in a Secret.

    Args:
        secret: The serving Secret, as the API holds it.
        trusted: CA certificates, one of which must have signed the leaf.
        names: DNS names that the certificate must carry.
        now: Aware instant.
    """
    pair = _read(secret, MAIN)
    if isinstance(pair, Problem):
        return (pair,)
    problems = _pair_problems(pair, now)
    # Outside the leaf's validity, checking the chain would only repeat the problem already found.
    if not problems and not is_trusted(pair.certificate, trusted, names, now, pair.chain):
        problems.append(Problem.UNTRUSTED)
    return tuple(problems)


def is_trusted(
    certificate: x509.Certificate,
    trusted: Sequence[x509.Certificate],
    names: Sequence[str],
    now: datetime,
    chain: Sequence[x509.Certificate] = (),
) -> bool:
    """Tell whether clients that trust these authorities accept a certificate for each of these names."""
    if not trusted:
        return False
    policy = PolicyBuilder().store(Store(list(trusted))).time(now)
    try:
        for name in names:
            policy.build_server_verifier(x509.DNSName(name)).verify(certificate, list(chain))
    except (VerificationError, *UNREADABLE):
        return False
    return True


def may_sign(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may sign others."""
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
