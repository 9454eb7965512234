"""What the CA Secret holds: who signs, who signs next, and whom API servers still have to trust. Pure.

tls.crt, tls.key    the authority that signs
next.crt, next.key  the one that takes over, while API servers learn to trust it
retired.crt         those whose leaves may still be served; their keys are gone
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
        current: Signs.
        next: Takes over.
        retired: Sign no more.
        handled: The last wish for a rotation that was fulfilled, word for word.
    """

    current: Pair
    next: Pair | None = None
    retired: tuple[x509.Certificate, ...] = ()
    handled: str = ""

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        """All of them, the newest first: who takes over keeps its place, so that the bundle stays as it was."""
        staged = [self.next.certificate] if self.next else []
        return tuple(dict.fromkeys([*staged, self.current.certificate, *self.retired]))

    @property
    def bundle(self) -> bytes:
        """What `caBundle` and the serving Secret's `ca.crt` are to hold."""
        return bundle_pem(self.trusted)

    def promoted(self, successor: Pair) -> Authorities:
        """Let the successor sign; its predecessor's key goes."""
        retired = tuple(dict.fromkeys([self.current.certificate, *self.retired]))
        return replace(self, current=successor, next=None, retired=retired)

    def content(self) -> dict[str, str]:
        """Write what the Secret is to hold."""
        staged = _entries(NEXT, self.next) if self.next else {}
        retired = {KEY_RETIRED: encoded(bundle_pem(self.retired))} if self.retired else {}
        return {**_entries(MAIN, self.current), **staged, **retired}


@dataclass(frozen=True, slots=True)
class Held:
    """What of a CA Secret can be used at an instant.

    Attributes:
        authorities: What it holds, if it can sign.
        problems: Why it cannot.
        next: A successor that could sign at once.
        handled: See `Authorities`.
    """

    authorities: Authorities | None
    problems: tuple[Problem, ...]
    next: Pair | None
    handled: str


def read(secret: Object | None, now: datetime) -> Held:
    """Read a CA Secret; what has expired in it counts as absent."""
    successor, _ = _usable(secret, now, NEXT)
    current, problems = _usable(secret, now, MAIN)
    handled = ((secret or {}).get("metadata", {}).get("annotations") or {}).get(ANNOTATION_CERTIFICATES_ROTATED, "")
    held = Authorities(current, successor, _retired(secret, now), handled) if current else None
    return Held(held, problems, successor, handled)


def unexpired(certificates: Iterable[x509.Certificate], now: datetime) -> tuple[x509.Certificate, ...]:
    """Drop duplicates, what has expired, and what is no authority."""
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
        return unexpired(bundle_of(secret or {}, KEY_RETIRED), now)
    except CertificateError:
        return ()


def _entries(slot: Slot, pair: Pair) -> dict[str, str]:
    return {slot.certificate: encoded(pair.certificate_pem), slot.key: encoded(pair.key_pem)}
