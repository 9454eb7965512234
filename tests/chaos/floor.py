"""Measures how fast a Service moves its clients, which is the least that the gap of any planned move can take.

Two pods answer with their own names, and a third one connects to their Service over and over. Each move patches the
Service's selector from one pod to the other.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.demo import samples
from deploy.demo.kube import until
from deploy.local.topology import NODES
from tests.chaos.api import CORE, NAMESPACE
from tests.chaos.faults.fault import hold, now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deploy.demo.images import Images
    from deploy.demo.kube import Kube, Object
    from tests.chaos.api import Api

SERVICE: Final = "floor"
SERVERS: Final = ("floor-a", "floor-b")
CALLER: Final = "floor-caller"
PORT: Final = 6379
MOVES: Final = 12
MOVE_SECONDS: Final = 30
PAUSE_SECONDS: Final = 2
"""Moves less than a second apart could have to wait for kube-proxy's minimum time between updates (`minSyncPeriod`)."""

SERVING: Final = f"""
import os, socket
server = socket.create_server(("", {PORT}), backlog=128)
while True:
    client, _ = server.accept()
    with client:
        client.sendall(os.environ["HOSTNAME"].encode())
"""
CALLING: Final = f"""
import json, os, socket, time
address, before = (socket.gethostbyname(os.environ["FLOOR_HOST"]), {PORT}), ""
while True:
    try:
        with socket.create_connection(address, timeout=0.5) as server:
            answer = server.recv(64).decode()
    except OSError:
        answer = ""
    if answer and answer != before:
        print(json.dumps([time.monotonic(), answer]), flush=True)
        before = answer
    time.sleep(0.002)
"""


@dataclass(frozen=True)
class Floor:
    """The moves that were measured.

    Attributes:
        seconds: For each move, the seconds from the patch until the first new connection reached the new pod.
    """

    seconds: tuple[float, ...]


def measure(kube: Kube, api: Api, images: Images) -> Floor:
    """Move a Service to and fro, and measure each move."""
    with _pods(kube, images):
        until("the caller is answered", lambda: _heard(kube), MOVE_SECONDS)
        return Floor(tuple(_move(kube, api, SERVERS[(number + 1) % 2]) for number in range(MOVES)))


def _move(kube: Kube, api: Api, server: str) -> float:
    hold(PAUSE_SECONDS)
    sent = now()
    api.patch(f"{CORE}/services/{SERVICE}", {"spec": {"selector": {"app": server}}})
    return until(f"clients are at {server}", lambda: first_after(_heard(kube), sent, server), MOVE_SECONDS) - sent


def first_after(heard: Iterable[tuple[float, str]], sent: float, server: str) -> float | None:
    """Find when a server first answered after a moment; None if it has not. Pure."""
    return next((at for at, name in heard if at > sent and name == server), None)


def _heard(kube: Kube) -> list[tuple[float, str]]:
    """List each change of the pod that answers, with its time."""
    # Before the Service's name resolves, the caller's log holds tracebacks too.
    lines = kube.run("logs", CALLER, namespace=NAMESPACE).splitlines()
    return [(at, name) for at, name in (json.loads(line) for line in lines if line.startswith("["))]


@contextmanager
def _pods(kube: Kube, images: Images) -> Iterator[None]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"selector": {"app": SERVERS[0]}, "ports": [{"port": PORT}]},
    }
    programs = {**dict.fromkeys(SERVERS, SERVING), CALLER: CALLING}
    pods = [
        _pod(images, name, program, node.name) for (name, program), node in zip(programs.items(), NODES, strict=True)
    ]
    try:
        kube.apply(service, *pods)
        for name in programs:
            kube.await_condition(f"pod/{name}", "condition=Ready", NAMESPACE)
        yield
    finally:
        gone: Sequence[str] = [f"service/{SERVICE}", *(f"pod/{name}" for name in programs)]
        kube.run("delete", *gone, "--ignore-not-found", "--force", "--grace-period=0", namespace=NAMESPACE)


def _pod(images: Images, name: str, program: str, node: str) -> Object:
    (pod,) = samples.load(samples.OWN / "stranger.yaml", images, NAMESPACE)
    pod["metadata"] |= {"name": name, "labels": {"app": name}}
    pod["spec"]["nodeName"] = node
    container = pod["spec"]["containers"][0]
    container |= {"image": images.mcp_server, "command": ["python", "-c", program]}
    container["env"] = [{"name": "FLOOR_HOST", "value": f"{SERVICE}.{NAMESPACE}.svc"}]
    return pod
