"""What of this machine's loopback belongs to one worker: tests run side by side, and Valkey has one port only."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path
from typing import Final

WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Number of this worker; processes that it starts inherit it. Without workers there is one, which is the first."""
MOST_WORKERS: Final = 4
_BLOCKS: Final = 50
"""Of addresses for each worker: four times as many are less than the 255 that there are."""
INSTANCES, OTHERS, PODS, CLIENTS, STRANGERS = range(3, 8)
"""Blocks: single Valkey instances, what talks to them, pods with Valkey, pods of consumers, nobody's clients."""


def address(block: int, number: int) -> str:
    """Tell one of the 60,000 addresses of a block; any may be listened on, or connected from."""
    assert WORKER < MOST_WORKERS, "a worker more than there are addresses and ports for"
    return f"127.{block + _BLOCKS * WORKER}.{number // 250}.{number % 250 + 1}"


def free_port() -> int:
    """Find a port of this worker that nobody has, and that no outgoing connection can get before it is listened on.

    Linux gives those the ports of `ip_local_port_range`; a test under load makes hundreds of them.
    """
    last = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    share = last // 2 // MOST_WORKERS
    first = last // 2 + share * WORKER
    while True:
        port = random.randrange(first, first + share)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
