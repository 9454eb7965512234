"""Decides what to do where another issuer, such as cert-manager, owns the serving Secret: publish its CA bundle. Pure.

The planner issues nothing. It makes API servers trust the authorities in the Secret's `ca.crt`, and, for as long as a
ready pod may serve an older certificate, the authorities that they trusted before.
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

RESYNC: Final = timedelta(minutes=1)


def plan(observed: Observed, now: datetime) -> Plan:
    """Decide what to do next; without a usable `ca.crt`, API servers keep trusting what they trust."""
    try:
        leaf, bundle = pair_of(observed.serving or {}).certificate, bundle_of(observed.serving or {})
    except CertificateError:
        leaf, bundle = None, ()
    trusted = ca_secret.valid_authorities(bundle, now)
    pods_behind = tuple(sorted(name for name, seen in observed.pods.items() if seen is None or seen != leaf))
    if not trusted:
        return Plan(Phase.BOOTSTRAP, wait=RESYNC, pods_behind=pods_behind)
    former = ca_bundles.trusted_now(observed.configurations, now) if pods_behind else ()
    publications = ca_bundles.publications(observed.configurations, tuple(dict.fromkeys([*trusted, *former])))
    return Plan(Phase.RETIRE if pods_behind else Phase.STABLE, publications, RESYNC, pods_behind)
