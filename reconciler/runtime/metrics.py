"""Prometheus metrics of the reconciler."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from shared.counting import from_zero


class PassOutcome(StrEnum):
    """How a pass over a storage ended."""

    OK = "ok"
    ERROR = "error"
    """It passes by itself, or waits for a person."""
    BUG = "bug"
    """Nobody expected it."""


class CountOutcome(StrEnum):
    """How a count of a storage's sessions ended."""

    OK = "ok"
    ERROR = "error"


RECONCILES: Final = from_zero(
    Counter(
        "session_storage_reconciles_total",
        "Passes over a storage, by outcome: ok; error, which passes by itself or waits for a person; or bug, which"
        " nobody expected.",
        ["outcome"],
    ),
    PassOutcome,
)
RECONCILE_SECONDS: Final = Histogram("session_storage_reconcile_seconds", "Duration of one pass over a storage.")
QUEUE_LENGTH: Final = Gauge("session_storage_queue_length", "Storages that wait for a worker.")
IS_LEADER: Final = Gauge("session_storage_is_leader", "1 on the replica that writes, else 0.")
SESSION_COUNTS: Final = from_zero(
    Counter(
        "session_storage_session_counts_total", "Counts of a storage's sessions, by outcome: ok or error.", ["outcome"]
    ),
    CountOutcome,
)
SESSION_COUNT_SECONDS: Final = Histogram(
    "session_storage_session_count_seconds", "Duration of one count of a storage's sessions."
)
