"""The content of the CA Secret: the authority that signs, its successor, and those still to be trusted. Pure.

tls.crt, tls.key    the authority that signs
next.crt, next.key  the one that will sign once API servers trust it
retired.crt         those whose leaves a pod may still serve; their keys are deleted
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from certs.pki import validation
from certs.pki.pem import MAIN, Pair, Slot, bundle_of, bundle_pem, encoded, pair_of
from shared.errors import CertificateError
from shared.names import ANNOTATION_CERTIFICATES_ROTATED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from cryptography import x509

    from certs.pki.validation import Problem
    from shared.objects.resources import Object

NEXT: Final = Slot("next.crt", "next.key")
KEY_RETIRED: Final = "retired.crt"


@dataclass(frozen=True, slots=True)
class Authorities:
    """All authorities that API servers are to trust.

    Attributes:
        current: The one that signs.
        next: The one that will sign next.
        retired: Those that no longer sign.
        handled_request: The annotation's text that asked for the last rotation.
    """

    current: Pair
    next: Pair | None = None
    retired: tuple[x509.Certificate, ...] = ()
    handled_request: str = ""

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        """All of them, the newest first, so that the bundle does not change when the successor starts to sign."""
        successor = [self.next.certificate] if self.next else []
        return tuple(dict.fromkeys([*successor, self.current.certificate, *self.retired]))

    @property
    def bundle(self) -> bytes:
        """The CA bundle, for `caBundle` and the serving Secret's `ca.crt`."""
        return bundle_pem(self.trusted)

    def promoted(self, successor: Pair) -> Authorities:
        """Let the successor sign, and drop the key of its predecessor."""
        retired = tuple(dict.fromkeys([self.current.certificate, *self.retired]))
        return replace(self, current=successor, next=None, retired=retired)

    def content(self) -> dict[str, str]:
        """Write the `data` of the Secret."""
        successor = self.next.entries(NEXT) if self.next else {}
        retired = {KEY_RETIRED: encoded(bundle_pem(self.retired))} if self.retired else {}
        return {**self.current.entries(), **successor, **retired}


@dataclass(frozen=True, slots=True)
class StoredAuthorities:
    """What a CA Secret held at an instant.

    Attributes:
        usable: Its authorities, if the current one can sign.
        problems: Why the current one cannot sign.
        next: A successor that can sign now.
        handled_request: See `Authorities`.
    """

    usable: Authorities | None
    problems: tuple[Problem, ...]
    next: Pair | None
    handled_request: str


def read(secret: Object | None, now: datetime) -> StoredAuthorities:
    """Read a CA Secret; expired certificates count as absent."""
    successor, _ = _usable(secret, now, NEXT)
    current, problems = _usable(secret, now, MAIN)
    handled_request = ((secret or {}).get("metadata", {}).get("annotations") or {}).get(
        ANNOTATION_CERTIFICATES_ROTATED, ""
    )
    usable = Authorities(current, successor, _retired(secret, now), handled_request) if current else None
    return StoredAuthorities(usable, problems, successor, handled_request)


def valid_authorities(certificates: Iterable[x509.Certificate], now: datetime) -> tuple[x509.Certificate, ...]:
    """Drop duplicates, expired certificates, and those that are no authority's."""
    return tuple(
        certificate
        for certificate in dict.fromkeys(certificates)
        if now <= certificate.not_valid_after_utc and validation.may_sign(certificate)
    )


def _usable(secret: Object | None, now: datetime, slot: Slot) -> tuple[Pair | None, tuple[Problem, ...]]:
    problems = validation.authority_problems(secret, now, slot)
    return (None, problems) if problems or secret is None else (pair_of(secret, slot), ())


def _retired(secret: Object | None, now: datetime) -> tuple[x509.Certificate, ...]:
    try:
        return valid_authorities(bundle_of(secret or {}, KEY_RETIRED), now)
    except CertificateError:
        return ()
