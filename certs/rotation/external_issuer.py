"""Decides what to do where the serving Secret is somebody else's, such as cert-manager's: have its authorities trusted.

Nothing is issued. API servers are told to trust what the Secret's `ca.crt` holds, and for as long as a ready pod may
still serve what came before, to trust that as well. Pure.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from certs.pki.pem import bundle_of, pair_of
from certs.rotation import ca_bundles, ca_secret
from certs.rotation.actions import Phase, Plan
from shared.errors import CertificateError

if TYPE_CHECKING:
    from datetime import datetime

    from certs.rotation.actions import Observed

LOOK_AGAIN: Final = timedelta(minutes=1)


def plan(observed: Observed, now: datetime) -> Plan:
    """Decide what to do next; without a usable `ca.crt`, nothing that is trusted is taken away."""
    try:
        leaf, trusted = pair_of(observed.serving or {}).certificate, bundle_of(observed.serving or {})
    except CertificateError:
        leaf, trusted = None, ()
    trusted = ca_secret.unexpired(trusted, now)
    others = tuple(sorted(name for name, seen in observed.pods.items() if seen is None or seen != leaf))
    if not trusted:
        return Plan(Phase.BOOTSTRAP, wait=LOOK_AGAIN, others=others)
    former = ca_bundles.trusted_now(observed.configurations, now) if others else ()
    publications = ca_bundles.publications(observed.configurations, tuple(dict.fromkeys([*trusted, *former])))
    return Plan(Phase.RETIRE if others else Phase.STABLE, publications, LOOK_AGAIN, others)
