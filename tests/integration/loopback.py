"""The addresses and ports of one pytest worker on this machine: tests run side by side, and Valkey uses one port only.

The API server takes no loopback address as an endpoint of a Service. So these are of a network that nobody may use
(RFC 1112, class E), which a route leads to the loopback interface as long as a test session lasts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Number of this worker, which its processes inherit; 0 where pytest runs without workers."""
MOST_WORKERS: Final = 4
_NETWORK: Final = "241.0.0.0/8"
_LOCK: Final = Path(tempfile.gettempdir()) / "session-storage-addresses.lock"
_BLOCKS: Final = 50
"""Networks 241.x of each worker; those of all four workers are fewer than the 255 that there are."""
INSTANCES, OTHERS, PODS, CLIENTS, STRANGERS = range(3, 8)
"""Blocks of addresses: single Valkey instances, their peers, Valkey pods, consumers' pods, clients of no consumer."""


def address(block: int, number: int) -> str:
    """Return one of the 60,000 addresses of a block; a test may listen on it or connect from it."""
    assert WORKER < MOST_WORKERS, "there are more workers than addresses and ports"
    return f"241.{block + _BLOCKS * WORKER}.{number // 250}.{number % 250 + 1}"


@contextlib.contextmanager
def routed() -> Iterator[None]:
    """Route the network of all addresses to the loopback interface, until the last session that needs it has ended."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        _route("replace")
        try:
            yield
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _route("delete")


def _route(verb: str) -> None:
    done = subprocess.run(["ip", "route", verb, "local", _NETWORK, "dev", "lo"], capture_output=True, check=False)
    hint = "run these tests as root, or in `unshare --user --map-root-user --net` with its interface `lo` up"
    assert done.returncode == 0, f"no route to {_NETWORK}: {done.stderr.decode().strip()}; {hint}"


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
