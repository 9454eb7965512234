"""Decides what to do where the serving Secret is somebody else's, such as cert-manager's: have its authorities trusted.

Nothing is issued. API servers are told to trust what the Secret's `ca.crt` holds, and for as long as a ready pod may
still serve what came before, to trust that as well. Pure.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from certs import authorities, bundles, check
from certs.actions import Phase, Plan
from certs.pem import bundle_of, pair_of
from shared.errors import CertificateError

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from certs.actions import Observed, Terms

LOOK_AGAIN: Final = timedelta(minutes=1)


def plan(observed: Observed, terms: Terms, now: datetime) -> Plan:
    """Decide what to do next; without a usable `ca.crt`, nothing that is trusted is taken away."""
    secret = observed.serving or {}
    try:
        trusted, leaf = authorities.unexpired(bundle_of(secret), now), pair_of(secret).certificate
    except CertificateError:
        return Plan(Phase.BOOTSTRAP, wait=LOOK_AGAIN, others=tuple(sorted(observed.pods)))
    others = tuple(sorted(name for name, seen in observed.pods.items() if seen != leaf))
    former = _still_needed(observed, others, terms, now)
    publications = bundles.publications(observed.configurations, tuple(dict.fromkeys([*trusted, *former])))
    return Plan(Phase.RETIRE if others else Phase.STABLE, publications, LOOK_AGAIN, others)


def _still_needed(
    observed: Observed, others: tuple[str, ...], terms: Terms, now: datetime
) -> tuple[x509.Certificate, ...]:
    leaves = [observed.pods[name] for name in others]
    return tuple(
        authority
        for authority in bundles.trusted_now(observed.configurations, now)
        if any(leaf is None or check.is_vouched_for(leaf, (authority,), terms.names[:1], now) for leaf in leaves)
    )
