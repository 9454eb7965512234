"""Cases of what clients and consumers of storages notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.alerts.case import Case
from tests.integration.alerts.series import condition, own, server, theirs

if TYPE_CHECKING:
    from collections.abc import Iterable


def cases() -> Iterable[Case]:
    """Alerts of this group."""
    refusals = "rejected_connections_total"
    yield Case(
        "SessionStorageClientsRefused",
        "warning",
        "5m45s",
        (server(refusals, "0+1x60"),),
        # One burst, however large.
        ((server(refusals, "0x4 900x60"),),),
    )
    most = server("max_clients", "10000x40")
    yield Case(
        "SessionStorageClientsRefused",
        "warning",
        "5m15s",
        (server("connected_clients", "8501x40"), most),
        ((server("connected_clients", "8500x40"), most),),
    )
    # What one look found is there for a minute at most: until the next look, 30 s later, and a scrape after that.
    for name in ("aof_last_write_status", "aof_last_bgrewrite_status"):
        yield Case("SessionStorageAofFails", "critical", "75s", (server(name, "0x20"),), ((server(name, "0x3 1x20"),),))
    logins = "acl_access_denied_auth_total"
    yield Case(
        "SessionStorageAuthFails", "warning", "15m15s", (server(logins, "0+16x80"),), ((server(logins, "0+14x80"),),)
    )
    ready = condition("Ready", "0x100")
    yield Case("SessionStorageNotReady", "warning", "15m15s", (ready,), ((condition("Ready", "0x59 1x40"),),))
    # An external storage; one that works with the former credential is ready, and says the other in a condition.
    yield Case(
        "SessionStorageNotReady",
        "warning",
        "15m30s",
        (theirs("condition", "0x100", type="Ready", status="True"),),
        (
            (
                theirs("condition", "1x100", type="Ready", status="True"),
                theirs("condition", "0x100", type="CredentialHandedOn", status="True"),
            ),
        ),
    )
    since = "rotation_phase_since_seconds"
    yield Case(
        "SessionStorageRotationStuck",
        "warning",
        "15s",
        (own(since, "3601x4", phase="AwaitConsumers"),),
        ((own(since, "3600x4", phase="AwaitConsumers"),), (own(since, "99999x4", phase="Discarded"),)),
    )
    every = own("rotation_interval_seconds", "1000x4")
    yield Case(
        "SessionStoragePasswordOld",
        "warning",
        "15s",
        (own("password_age_seconds", "1101x4"), every),
        ((own("password_age_seconds", "1100x4"), every), (own("password_age_seconds", "99999x4"),)),
    )
    unwired = {"kind": "MCPServer", "wired": "false"}
    yield Case(
        "SessionStorageConsumerUnwired",
        "warning",
        "15m15s",
        (own("consumers", "1x80", **unwired),),
        ((own("consumers", "1x59 0x40", **unwired),), (own("consumers", "9x80", kind="MCPServer", wired="true"),)),
    )
