"""Prometheus metrics of the certificates' keeper; only the leader has values to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge

from certs import authorities, bundles, rotate
from certs.actions import Phase
from certs.pem import pair_of
from shared.errors import CertificateError

if TYPE_CHECKING:
    from datetime import datetime

    from certs.actions import Observed, Plan, Terms
    from certs.pem import Pair

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
    held = authorities.read(observed.authority, now)
    _show_pair("authority", held.authorities.current if held.authorities else None, terms)
    _show_pair("next", held.next, terms)
    _show_pair("serving", _serving(observed), terms)
    for configuration, obj in observed.configurations.items():
        end = bundles.first_to_expire(obj, now)
        BUNDLE_NOT_AFTER.labels(str(configuration)).set(end.timestamp() if end else 0)
    for phase in Phase:
        PHASE.labels(phase.value).set(phase is plan.phase)
    unseen = {name for name, leaf in observed.pods.items() if leaf is None}
    others = set(rotate.others(observed, held.authorities, terms, now)) if held.authorities else set(observed.pods)
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


def _show_pair(kind: str, pair: Pair | None, terms: Terms) -> None:
    if pair is None:
        for gauge in (NOT_AFTER, DUE):
            # Both know no "remove if there".
            gauge.labels(kind)
            gauge.remove(kind)
        return
    NOT_AFTER.labels(kind).set(pair.certificate.not_valid_after_utc.timestamp())
    DUE.labels(kind).set(terms.lifetimes.due(pair.certificate).timestamp())


def _serving(observed: Observed) -> Pair | None:
    try:
        return pair_of(observed.serving or {})
    except CertificateError:
        return None
