"""Cases of the webhook's certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.alerts.case import Case
from tests.integration.alerts.series import SERVED, certificate, steps

if TYPE_CHECKING:
    from collections.abc import Iterable


def cases() -> Iterable[Case]:
    """Alerts of this group."""
    expiry = "certificate_not_after_seconds"
    yield Case(
        "SessionStorageCertificateExpires",
        "critical",
        "6m",
        (certificate(expiry, "86400x40", kind="serving"),),
        ((certificate(expiry, "86761x40", kind="serving"),), (certificate(expiry, "9x40", kind="next"),)),
    )
    bundle = "ca_bundle_not_after_seconds"
    yield Case(
        "SessionStorageCABundleExpires",
        "critical",
        "6m",
        (certificate(bundle, "86400x40", configuration="mutating/one"),),
        ((certificate(bundle, "86761x40", configuration="mutating/one"),),),
    )
    used = "webhook_certificate_not_after_seconds"
    yield Case(
        "SessionStorageWebhookCertificateExpires",
        "critical",
        "6m",
        (certificate(used, "86400x40"),),
        ((certificate(used, "86761x40"),), (certificate(used, "0x40"),)),
    )
    due = "certificate_due_seconds"
    yield Case(
        "SessionStorageCertificateOverdue",
        "warning",
        "66m",
        (certificate(due, "0x400", kind="serving"),),
        ((certificate(due, "361x400", kind="serving"),),),
    )
    phase = "certificate_phase"
    yield Case(
        "SessionStorageCertificateRotationStuck",
        "warning",
        "61m",
        (certificate(phase, "1x400", phase="Retire"),),
        ((certificate(phase, "1x400", phase="Stable"),), (certificate(phase, "1x230 0x100", phase="Retire"),)),
    )
    pods = "webhook_pods_seen"
    yield Case(
        "SessionStorageWebhookPodBehind",
        "warning",
        "16m",
        (certificate(pods, "1x80", serving="other"),),
        ((certificate(pods, "1x58 0x40", serving="other"),), (certificate(pods, "2x80", serving="current"),)),
    )
    usable = "webhook_serving_secret_usable"
    yield Case(
        "SessionStorageServingSecretUnusable",
        "warning",
        "6m",
        (certificate(usable, "0x40"),),
        ((certificate(usable, "0x18 1x40"),),),
    )
    repairs = "ca_bundle_repairs_total"
    # The first four of a process.
    yield Case(
        "SessionStorageCABundleContested",
        "warning",
        "10m",
        (certificate(repairs, steps(9, 1, 4), configuration="mutating/one"),),
        ((certificate(repairs, steps(9, 1, 3), configuration="mutating/one"),),),
    )
    errors = "certificate_errors_total"
    yield Case(
        "SessionStorageCertificatesFail",
        "warning",
        "29m",
        (certificate(errors, steps(9, 1, 30), error="Conflict"),),
        ((certificate(errors, steps(14, 1, 30), error="Conflict"),),),
    )
    yield Case(
        "SessionStorageCertificatesUnattended",
        "warning",
        "16m",
        (SERVED,),
        ((certificate(phase, "1x80", phase="Stable"),),),
    )
