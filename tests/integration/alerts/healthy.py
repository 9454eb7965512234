"""Series of an installation at rest, one sample a minute: a `large` storage, an external one, both processes.

Counters begin with 0, as our processes write them, and the first few events of each kind come after 50 minutes.
"""

from __future__ import annotations

from typing import Final

from tests.integration.alerts.of_processes import reviews
from tests.integration.alerts.series import certificate, condition, own, process, server, sessions, theirs

_FAR: Final = "1000000000x200"
"""A time decades after promtool's, whose clock begins with 0."""

HEALTHY: Final = (
    own("info", "1x200", size="large", phase="Ready", version="9.1.2"),
    own("looked_at_timestamp_seconds", "-40+60x200"),
    condition("Available", "1x200"),
    condition("Ready", "1x200"),
    condition("Redundant", "1x200"),
    condition("FailoverBlocked", "0x200"),
    own("synced_replicas", "2x200"),
    own("replica_lag_bytes", "14x200", pod="mine-valkey-1-0"),
    own("primary_changes_total", "0x50 2x149", reason="PrimaryLost", planned="false"),
    own("probes_total", "0+60x200", outcome="answered"),
    own("probes_total", "0x50 3x149", outcome="unanswered"),
    own("probe_seconds_bucket", "0+60x200", le="0.1"),
    own("probe_seconds_bucket", "0+60x200", le="+Inf"),
    own("password_age_seconds", "0+60x200"),
    own("rotation_interval_seconds", "7200x200"),
    own("rotation_phase_since_seconds", "0+60x200", phase="Discarded"),
    own("consumers", "3x200", kind="MCPServer", wired="true"),
    own("consumers", "0x200", kind="MCPServer", wired="false"),
    *sessions(1000),
    theirs("info", "1x200", size="external", phase="Ready", version=""),
    theirs("looked_at_timestamp_seconds", "-40+60x200"),
    theirs("condition", "1x200", type="Ready", status="True"),
    theirs("condition", "0x200", type="Ready", status="False"),
    theirs("condition", "1x200", type="ProxiesSupported", status="True"),
    # Its owner changed the credential once.
    theirs("rotation_phase_since_seconds", "0+60x200", phase="Discarded"),
    theirs("consumers", "2x200", kind="MCPServer", wired="true"),
    theirs("consumers", "0x200", kind="MCPServer", wired="false"),
    server("memory_used_bytes", "400+0.1x200"),
    server("memory_max_bytes", "1000x200"),
    server("evicted_keys_total", "5x200"),
    server("evicted_keys_total", "0x200", pod=1, role="replica"),
    server("replication_backlog_bytes", "1000x200"),
    server("replica_resyncs_full", "2x200"),
    server("rejected_connections_total", "7x200"),
    server("connected_clients", "500x200"),
    server("max_clients", "10000x200"),
    server("aof_last_write_status", "1x200"),
    server("aof_last_bgrewrite_status", "1x200"),
    server("acl_access_denied_auth_total", "4x200"),
    process("session_storage_is_leader", "1x200"),
    process("session_storage_reconciles_total", "0+20x200", outcome="ok"),
    process("session_storage_reconciles_total", "0x50 3x149", outcome="error"),
    *reviews(1000),
    certificate("certificate_not_after_seconds", _FAR, kind="serving"),
    certificate("certificate_due_seconds", _FAR, kind="serving"),
    certificate("ca_bundle_not_after_seconds", _FAR, configuration="mutating/one"),
    certificate("webhook_certificate_not_after_seconds", _FAR),
    certificate("certificate_phase", "1x200", phase="Stable"),
    certificate("certificate_phase", "0x200", phase="Retire"),
    certificate("webhook_pods_seen", "2x200", serving="current"),
    certificate("webhook_pods_seen", "0x200", serving="other"),
    certificate("webhook_serving_secret_usable", "1x200"),
    certificate("ca_bundle_repairs_total", "0x50 1x149", configuration="mutating/one"),
    certificate("certificate_errors_total", "0x50 2x149", error="Conflict"),
)
