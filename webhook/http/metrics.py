"""Prometheus metrics of the webhook's clients."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge

from shared.counting import from_zero


class CutOff(StrEnum):
    """Why a client was cut off; the metric's own text says what each word stands for."""

    SLOW = "slow"
    BODIES = "bodies"
    ROOM = "room"
    PEER = "peer"
    DECISIONS = "decisions"


CONNECTIONS: Final = Gauge("session_storage_webhook_connections", "Connections of clients, from the first packet on.")
CLIENTS_CUT_OFF: Final = from_zero(
    Counter(
        "session_storage_webhook_clients_cut_off_total",
        "Clients that sent or read too slowly (slow), sent while all unfinished bodies together were too long "
        "(bodies), asked nothing while others waited for a connection (room), had too many connections from one "
        "address (peer), or asked while all reviews under decision together took too much memory (decisions).",
        ["reason"],
    ),
    CutOff,
)
