"""The loopback addresses and ports of one pytest worker: tests run side by side, and Valkey uses one port only."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path
from typing import Final

WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Number of this worker, which its processes inherit; 0 where pytest runs without workers."""
MOST_WORKERS: Final = 4
_BLOCKS: Final = 50
"""Networks 127.x of each worker; those of all four workers are fewer than the 255 that there are."""
INSTANCES, OTHERS, PODS, CLIENTS, STRANGERS = range(3, 8)
"""Blocks of addresses: single Valkey instances, their peers, Valkey pods, consumers' pods, clients of no consumer."""


def address(block: int, number: int) -> str:
    """Return one of the 60,000 addresses of a block; a test may listen on it or connect from it."""
    assert WORKER < MOST_WORKERS, "there are more workers than addresses and ports"
    return f"127.{block + _BLOCKS * WORKER}.{number // 250}.{number % 250 + 1}"


def free_port() -> int:
    """Find a free port of this worker that no outgoing connection can take before the test listens on it.

    Linux takes the ports of outgoing connections from `ip_local_port_range`; a test under load makes hundreds of them.
    """
    last = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    share = last // 2 // MOST_WORKERS
    first = last // 2 + share * WORKER
    while True:
        port = random.randrange(first, first + share)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
