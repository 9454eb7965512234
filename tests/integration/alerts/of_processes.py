"""Cases of webhook and reconciler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.integration.alerts.case import Case
from tests.integration.alerts.series import SERVED, Series, own, process

if TYPE_CHECKING:
    from collections.abc import Iterable

WEBHOOK: Final = "consumers.toolhive.stacklok.dev"


def reviews(within_a_second: int) -> tuple[Series, ...]:
    """What an API server counted of 1,000 reviews each 15 s."""
    counts = {"0.5": 900, "1": within_a_second, "2.5": 1000, "+Inf": 1000}
    name = "apiserver_admission_webhook_admission_duration_seconds_bucket"
    return tuple(Series(name, f"0+{count}x60", (("name", WEBHOOK), ("le", le))) for le, count in counts.items())


def refused(error_type: str) -> Series:
    """Refusals that an API server counted."""
    name = "apiserver_admission_webhook_rejection_count"
    return Series(name, "0+1x60", (("name", WEBHOOK), ("error_type", error_type)))


def cases() -> Iterable[Case]:
    """Alerts of this group."""
    unattended = "SessionStorageUnattended"
    led = process("session_storage_is_leader", "1x3 0x20")
    other = Series("session_storage_is_leader", "0x10 1x20", (("instance", "10.0.0.2:8080"),))
    yield Case(unattended, "critical", "3m15s", (led,), ((led, other),))
    yield Case(unattended, "critical", "2m15s", (SERVED,), ((process("session_storage_is_leader", "1x20"),),))
    # promtool's clock begins with 0.
    leads = process("session_storage_is_leader", "1x60")
    looked_at = own("looked_at_timestamp_seconds", "0x60")
    yield Case(unattended, "critical", "10m15s", (leads, looked_at), ((leads, looked_at),), spared_at="10m")
    passes = "session_storage_reconciles_total"
    yield Case(
        "SessionStorageReconcileFails",
        "warning",
        "16m",
        (process(passes, "0+16x80", outcome="ok"), process(passes, "0+2x80", outcome="bug")),
        ((process(passes, "0+19x80", outcome="ok"), process(passes, "0+2x80", outcome="error")),),
    )
    slow = "SessionStorageWebhookSlow"
    yield Case(slow, "warning", "5m45s", reviews(980), (reviews(991),))
    yield Case(slow, "warning", "5m45s", (refused("calling_webhook_error"),), ((refused("no_error"),),))
    opened = "apiserver_admission_webhook_fail_open_count"
    yield Case(
        slow,
        "warning",
        "5m45s",
        (Series(opened, "0+1x60", (("name", WEBHOOK),)),),
        (
            (Series(opened, "0+1x60", (("name", "another.example.com"),)),),
            (Series(opened, "0x4 5x60", (("name", WEBHOOK),)),),
        ),
    )
