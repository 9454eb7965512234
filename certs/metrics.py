"""Prometheus metrics of the certificate controller; only the leader exports the gauges."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge

from certs.pki.pem import readable_pair
from certs.rotation import ca_bundles, ca_secret
from certs.rotation.actions import Phase
from shared.counting import from_zero
from shared.errors import ClusterError, kinds_of

if TYPE_CHECKING:
    from datetime import datetime

    from certs.rotation.actions import CertificateSpec, Observed, Plan


class Issued(StrEnum):
    """What kind of certificate the controller issues."""

    AUTHORITY = "authority"
    SERVING = "serving"


NOT_AFTER: Final = Gauge(
    "session_storage_certificate_not_after_seconds",
    "Unix time at which a certificate expires: of the authority, its successor, or the serving certificate.",
    ["kind"],
)
DUE: Final = Gauge(
    "session_storage_certificate_due_seconds", "Unix time at which a certificate's renewal is due.", ["kind"]
)
BUNDLE_NOT_AFTER: Final = Gauge(
    "session_storage_ca_bundle_not_after_seconds",
    "Unix time at which the first authority in a configuration's caBundle expires; 0 if there is none.",
    ["configuration"],
)
PHASE: Final = Gauge("session_storage_certificate_phase", "1 for the phase of the rotation, else 0.", ["phase"])
PODS: Final = Gauge(
    "session_storage_webhook_pods_seen",
    "Ready webhook pods by what they serve: a certificate of the current authority, another, or nothing.",
    ["serving"],
)
LAST_ERROR: Final = Gauge(
    "session_storage_certificate_last_error_seconds", "Unix time of the controller's last failure, by kind.", ["error"]
)
ERRORS: Final = from_zero(
    Counter("session_storage_certificate_errors_total", "Failures of the controller, by kind.", ["error"]),
    [kind.__name__ for kind in kinds_of(ClusterError)],
)
ISSUED: Final = from_zero(
    Counter("session_storage_certificates_issued_total", "Certificates issued, by kind.", ["kind"]), Issued
)
REPAIRS: Final = Counter(
    "session_storage_ca_bundle_repairs_total",
    "Bundles that the controller restored after somebody else wrote them.",
    ["configuration"],
)

_LEADER_GAUGES: Final = (NOT_AFTER, DUE, BUNDLE_NOT_AFTER, PHASE, PODS)


def export(observed: Observed, plan: Plan, spec: CertificateSpec, now: datetime) -> None:
    """Set all gauges to what the controller observed; a certificate that does not exist has no value."""
    clear()
    stored = ca_secret.read(observed.authority, now)
    current = stored.usable.current if stored.usable else None
    pairs = {"authority": current, "next": stored.next, "serving": readable_pair(observed.serving)}
    for kind, pair in pairs.items():
        if pair is None:
            continue
        NOT_AFTER.labels(kind).set(pair.certificate.not_valid_after_utc.timestamp())
        # Another issuer decides itself when to renew its certificate.
        if current and kind != "next":
            DUE.labels(kind).set(spec.lifetimes.due(pair.certificate).timestamp())
    for configuration, obj in observed.configurations.items():
        end = ca_bundles.first_to_expire(obj, now)
        BUNDLE_NOT_AFTER.labels(str(configuration)).set(end.timestamp() if end else 0)
    for phase in Phase:
        PHASE.labels(phase.value).set(phase is plan.phase)
    silent = {name for name, leaf in observed.pods.items() if leaf is None}
    behind = set(plan.pods_behind)
    counts = {"nothing": silent, "other": behind - silent, "current": observed.pods.keys() - behind - silent}
    for serving, names in counts.items():
        PODS.labels(serving).set(len(names))


def count_error(error: ClusterError, now: datetime) -> None:
    """Count a failure, by the name of its exception."""
    kind = type(error).__name__
    ERRORS.labels(kind).inc()
    LAST_ERROR.labels(kind).set(now.timestamp())


def clear() -> None:
    """Export no gauges: the next leader exports them."""
    for metric in _LEADER_GAUGES:
        metric.clear()
