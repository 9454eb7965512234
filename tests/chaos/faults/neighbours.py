"""Faults of a storage's neighbours: many that are created at once, and many whose external store never ends an answer.

The primary's process is killed meanwhile, because a failover is what neighbours could delay.
"""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from deploy.demo.kube import until
from deploy.demo.storages import KIND, condition
from deploy.local.topology import HOST_ADDRESS
from tests.chaos.faults.servers import kill_server
from tests.chaos.stand import RECOVERY_SECONDS
from tests.e2e.namespaces import CHAOS_NEIGHBOURS
from tests.e2e.storages import storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.demo.kube import Kube
    from tests.chaos.faults.fault import Scene
    from tests.chaos.stand import Stand

CREATED: Final = 50
STREAMING: Final = 80
"""So many external storages whose stores did not answer once kept the reconciler from all other work."""
NOISE: Final = b"+" + b"x" * 65536
"""The beginning of a reply in RESP whose end never comes."""


def kill_beside_new_storages(scene: Scene) -> float:
    """Create many storages with one request each, all at once, and kill the primary's server while they come up."""
    kube = scene.stand.kube
    with _namespace(kube):
        kube.apply(*(storage(f"new-{number}", CHAOS_NEIGHBOURS, size="small") for number in range(CREATED)))
        return kill_server(scene)


@contextmanager
def beside_streaming_stores(stand: Stand) -> Iterator[None]:
    """Have many external storages whose store sends without end, from their first look on."""
    kube = stand.kube
    with _streaming() as url, _namespace(kube):
        external = {"url": url}
        kube.apply(*(storage(f"flood-{number}", CHAOS_NEIGHBOURS, external=external) for number in range(STREAMING)))
        until("the reconciler has looked at each external store", lambda: _looked_at(kube), RECOVERY_SECONDS)
        yield


def _looked_at(kube: Kube) -> bool:
    found = kube.items(KIND, CHAOS_NEIGHBOURS)
    return len(found) == STREAMING and all(condition(each, "Ready").get("status") == "False" for each in found)


@contextmanager
def _namespace(kube: Kube) -> Iterator[None]:
    """Create the neighbours' namespace, and remove it with all storages; their pods go in the background."""
    kube.create_namespace(CHAOS_NEIGHBOURS)
    try:
        yield
    finally:
        kube.delete_namespaces(CHAOS_NEIGHBOURS)


@contextmanager
def _streaming() -> Iterator[str]:
    """Serve a store on the host's address of the bridge that begins a reply and never ends it; yield its URL."""
    with closing(socket.create_server((HOST_ADDRESS, 0))) as listening:
        threading.Thread(target=_serve, args=(listening,), daemon=True).start()
        yield f"redis://{HOST_ADDRESS}:{listening.getsockname()[1]}"


def _serve(listening: socket.socket) -> None:
    with suppress(OSError):  # the socket is closed when the fault ends
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_flood, args=(client,), daemon=True).start()


def _flood(client: socket.socket) -> None:
    with client, suppress(OSError):  # the reconciler hangs up after some bytes
        while True:
            client.sendall(NOISE)
