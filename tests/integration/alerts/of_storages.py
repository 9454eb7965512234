"""Cases of what storages are and do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.alerts.case import Case
from tests.integration.alerts.series import (
    SERVED,
    condition,
    evicted,
    memory,
    own,
    server,
    sessions,
    steps,
    taken_over,
    theirs,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def cases() -> Iterable[Case]:
    """Alerts of this group."""
    down = condition("Available", "0x20")
    recovers = condition("Available", "0x3 1x20")
    of_external = theirs("condition", "0x20", type="Ready", status="True")
    yield Case(
        "SessionStorageDown",
        "critical",
        "75s",
        (down, SERVED),
        # What one look found is there for a minute at most. An external storage is never down, beside one that serves.
        ((recovers, SERVED), (down,), (of_external, condition("Available", "1x20"), SERVED)),
    )
    blocked = "SessionStorageFailoverBlocked"
    yield Case(
        blocked, "critical", "15s", (condition("FailoverBlocked", "1x4"),), ((condition("FailoverBlocked", "0x4"),),)
    )
    yield Case(
        "SessionStorageSessionsLost",
        "critical",
        "16m",
        (*sessions(1000), evicted("0x40 11x40")),
        ((*sessions(1000), evicted("0x40 9x40")),),
    )
    # What two leaders tell of the sessions at once is no more sessions, and what they tell of the evictions no more
    # evictions.
    told = taken_over((*sessions(1000), evicted("0x40 11x60")), 59)
    less = taken_over((*sessions(1000), evicted("0x40 9x60")), 59)
    yield Case("SessionStorageSessionsLost", "critical", "15m15s", tuple(told), (tuple(less),))
    # A new leader's series begins with what the server counted before.
    yield Case("SessionStorageSessionsLost", "warning", "4m", (evicted("7x10 8x20"),), ((evicted("_x9 7x20"),),))
    yield Case(
        "SessionStorageMemoryHigh", "warning", "10m15s", memory("86x100"), (memory("85x100"), memory("86x38 84x60"))
    )
    yield Case(
        "SessionStorageFillsSoon",
        "warning",
        "26m",
        memory("50+0.05x400"),
        (memory("50+0.038x400"), memory("20+0.1x400")),
        spared_at="1h",
    )
    redundant = condition("Redundant", "0x100")
    yield Case(
        "SessionStorageNotRedundant",
        "critical",
        "2m15s",
        (own("synced_replicas", "0x20"), redundant, SERVED),
        (
            (own("synced_replicas", "1x20"), redundant, SERVED),
            (own("synced_replicas", "0x3 2x20"), redundant, SERVED),
            (own("synced_replicas", "0x20"), SERVED),
            (own("synced_replicas", "0x20"), redundant),
            (
                own("synced_replicas", "0x20"),
                redundant,
                SERVED,
                own("condition", "1x20", type="SizeApplied", status="False"),
            ),
        ),
    )
    yield Case(
        "SessionStorageNotRedundant", "warning", "10m15s", (redundant,), ((condition("Redundant", "0x39 1x40"),),)
    )
    # After a move, two series of the backlog are there for a moment.
    backlog = (server("replication_backlog_bytes", "1000x40"), server("replication_backlog_bytes", "1000x40", pod=1))
    yield Case(
        "SessionStorageReplicaLags",
        "warning",
        "2m15s",
        (*backlog, own("replica_lag_bytes", "501x40", pod="mine-valkey-2-0")),
        (
            (*backlog, own("replica_lag_bytes", "500x40", pod="mine-valkey-2-0")),
            (*backlog, own("replica_lag_bytes", "900x3 0x40", pod="mine-valkey-2-0")),
        ),
    )
    four, three = (server("replica_resyncs_full", steps(20, 1, count)) for count in (4, 3))
    yield Case(
        "SessionStorageFullResyncs",
        "warning",
        "30m",
        (four, condition("Updating", "0x200")),
        ((three,), (four, condition("Updating", "1x20 0x200"))),
    )
    often = "primary_changes_total"
    unplanned = {"reason": "PrimaryLost", "planned": "false"}
    planned = own(often, steps(10, 1, 9), reason="Switchover", planned="true")
    yield Case(
        "SessionStorageFailsOverOften",
        "warning",
        "30m",
        (own(often, steps(20, 1, 3), **unplanned),),
        ((own(often, steps(20, 1, 2), **unplanned), planned),),
    )
