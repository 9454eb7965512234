"""Prometheus metrics of the reconciler."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

RECONCILES: Final = Counter(
    "session_storage_reconciles_total",
    "Passes over a storage, by outcome: ok; error, which passes by itself or waits for a person; or bug, which nobody"
    " expected.",
    ["outcome"],
)
"""Outcomes: `ok`; `error`, which passes by itself or waits for a person; `bug`, which nobody expected."""
RECONCILE_SECONDS: Final = Histogram("session_storage_reconcile_seconds", "Duration of one pass over a storage.")
QUEUE_LENGTH: Final = Gauge("session_storage_queue_length", "Storages that wait for a worker.")
IS_LEADER: Final = Gauge("session_storage_is_leader", "1 on the replica that writes, else 0.")
SESSION_COUNTS: Final = Counter(
    "session_storage_session_counts_total", "Counts of a storage's sessions, by outcome: ok or error.", ["outcome"]
)
SESSION_COUNT_SECONDS: Final = Histogram(
    "session_storage_session_count_seconds", "Duration of one count of a storage's sessions."
)
