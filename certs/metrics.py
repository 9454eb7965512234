"""Prometheus metrics of the certificates' keeper; only the leader has values to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge

from certs.pki.pem import pair_of
from certs.rotation import ca_bundles, ca_secret
from certs.rotation.actions import Phase
from shared.errors import CertificateError

if TYPE_CHECKING:
    from datetime import datetime

    from certs.pki.pem import Pair
    from certs.rotation.actions import Observed, Plan, Terms

NOT_AFTER: Final = Gauge(
    "session_storage_certificate_not_after_seconds",
    "Unix time at which a certificate expires: of the authority, its successor, or the serving certificate.",
    ["kind"],
)
DUE: Final = Gauge(
    "session_storage_certificate_due_seconds", "Unix time from which on a certificate is to be replaced.", ["kind"]
)
BUNDLE_NOT_AFTER: Final = Gauge(
    "session_storage_ca_bundle_not_after_seconds",
    "Unix time at which the first authority in a configuration's caBundle expires; 0 if there is none.",
    ["configuration"],
)
PHASE: Final = Gauge("session_storage_certificate_phase", "1 for the phase of the rotation, else 0.", ["phase"])
PODS: Final = Gauge(
    "session_storage_webhook_pods_seen",
    "Ready webhook pods by what they were seen to serve: a certificate of the current authority, another, or nothing.",
    ["serving"],
)
LAST_ERROR: Final = Gauge(
    "session_storage_certificate_last_error_seconds", "Unix time of the keeper's last failure, by its kind.", ["error"]
)
ERRORS: Final = Counter("session_storage_certificate_errors_total", "Failures of the keeper, by kind.", ["error"])
ISSUED: Final = Counter("session_storage_certificates_issued_total", "Certificates made, by kind.", ["kind"])
REPAIRS: Final = Counter(
    "session_storage_ca_bundle_repairs_total", "Bundles restored after somebody else wrote them.", ["configuration"]
)

_OF_THE_LEADER: Final = (NOT_AFTER, DUE, BUNDLE_NOT_AFTER, PHASE, PODS)


def show(observed: Observed, plan: Plan, terms: Terms, now: datetime) -> None:
    """Set all gauges to what was observed."""
    held = ca_secret.read(observed.authority, now)
    signs = held.authorities
    pairs = {"authority": signs.current if signs else None, "next": held.next, "serving": _serving(observed)}
    for kind, pair in pairs.items():
        _set(NOT_AFTER, kind, pair.certificate.not_valid_after_utc if pair else None)
        # A certificate of somebody else's is due when they say so.
        _set(DUE, kind, terms.lifetimes.due(pair.certificate) if pair and signs and kind != "next" else None)
    for configuration, obj in observed.configurations.items():
        end = ca_bundles.first_to_expire(obj, now)
        BUNDLE_NOT_AFTER.labels(str(configuration)).set(end.timestamp() if end else 0)
    for phase in Phase:
        PHASE.labels(phase.value).set(phase is plan.phase)
    unseen = {name for name, leaf in observed.pods.items() if leaf is None}
    others = set(plan.others)
    PODS.labels("nothing").set(len(unseen))
    PODS.labels("other").set(len(others - unseen))
    PODS.labels("current").set(len(observed.pods) - len(others | unseen))


def note_error(error: Exception, now: datetime) -> None:
    """Remember a failure."""
    kind = type(error).__name__
    ERRORS.labels(kind).inc()
    LAST_ERROR.labels(kind).set(now.timestamp())


def clear() -> None:
    """Show nothing: whoever leads from now on has the figures."""
    for metric in _OF_THE_LEADER:
        metric.clear()


def _set(gauge: Gauge, kind: str, instant: datetime | None) -> None:
    """Show an instant, or nothing at all."""
    if instant is not None:
        gauge.labels(kind).set(instant.timestamp())
        return
    # There is no "remove if there".
    gauge.labels(kind)
    gauge.remove(kind)


def _serving(observed: Observed) -> Pair | None:
    try:
        return pair_of(observed.serving or {})
    except CertificateError:
        return None
