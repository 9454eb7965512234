"""Measures how fast a Service moves its clients, which is the least that the gap of any planned move can take.

Two pods answer with their own names, and a third one connects to two Services of theirs over and over. Each move
patches one Service from one pod to the other: the selector of one, or the only EndpointSlice of the other, which has no
selector. The cluster is at rest meanwhile.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.demo import samples
from deploy.demo.kube import until
from deploy.local.topology import NODES
from reconciler.state.primary_service import SERVICE_OF
from tests.chaos.api import CORE, NAMESPACE, SLICES
from tests.chaos.faults.fault import hold, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from deploy.demo.images import Images
    from deploy.demo.kube import Kube, Object
    from tests.chaos.api import Api

SELECTOR, ENDPOINTS = SERVICES = ("floor-selector", "floor-endpoints")
SERVERS: Final = ("floor-a", "floor-b")
CALLER: Final = "floor-caller"
PORT: Final = 6379
MOVES: Final = 12
MOVE_SECONDS: Final = 30
PAUSE_SECONDS: Final = 2
"""Moves less than a second apart have to wait for kube-proxy's minimum time between updates (`minSyncPeriod`)."""

SERVING: Final = f"""
import os, socket
server = socket.create_server(("", {PORT}), backlog=128)
while True:
    client, _ = server.accept()
    with client:
        client.sendall(os.environ["HOSTNAME"].encode())
"""
CALLING: Final = f"""
import json, os, socket, threading, time
def call(service):
    address, before = (socket.gethostbyname(service + "." + os.environ["FLOOR_DOMAIN"]), {PORT}), ""
    while True:
        try:
            with socket.create_connection(address, timeout=0.5) as server:
                answer = server.recv(64).decode()
        except OSError:
            answer = ""
        if answer and answer != before:
            print(json.dumps([time.monotonic(), service, answer]) + "\\n", end="", flush=True)
            before = answer
        time.sleep(0.002)
for service in {SERVICES}:
    threading.Thread(target=call, args=(service,)).start()
"""


@dataclass(frozen=True)
class Floor:
    """The moves that were measured.

    Attributes:
        endpoints: For each move, the seconds from the patch of an EndpointSlice until the first new connection reached
            the new pod.
        selector: The same for each move by a patch of a Service's selector.
    """

    endpoints: tuple[float, ...]
    selector: tuple[float, ...]


def measure(kube: Kube, api: Api, images: Images) -> Floor:
    """Move both Services to and fro, and measure each move."""
    with _pods(kube, images):
        addresses = [api.read(f"{CORE}/pods/{server}")["status"]["podIP"] for server in SERVERS]
        kube.apply(_slice(addresses[0]))
        until("both Services answer", lambda: all(_heard(kube, service) for service in SERVICES), MOVE_SECONDS)

        def endpoints(number: int) -> None:
            api.patch(f"{SLICES}/{ENDPOINTS}", {"endpoints": [_endpoint(addresses[number])]})

        def selector(number: int) -> None:
            api.patch(f"{CORE}/services/{SELECTOR}", {"spec": {"selector": {"app": SERVERS[number]}}})

        return Floor(_moves(kube, ENDPOINTS, endpoints), _moves(kube, SELECTOR, selector))


def _moves(kube: Kube, service: str, patch: Callable[[int], None]) -> tuple[float, ...]:
    return tuple(_move(kube, service, patch, (number + 1) % len(SERVERS)) for number in range(MOVES))


def _move(kube: Kube, service: str, patch: Callable[[int], None], number: int) -> float:
    hold(PAUSE_SECONDS)
    sent, server = now(), SERVERS[number]
    patch(number)
    heard = until(
        f"clients of {service} are at {server}", lambda: first_after(_heard(kube, service), sent, server), MOVE_SECONDS
    )
    return heard - sent


def first_after(heard: Iterable[tuple[float, str]], sent: float, server: str) -> float | None:
    """Find when a server first answered after a moment; None if it has not. Pure."""
    return next((at for at, name in heard if at > sent and name == server), None)


def _heard(kube: Kube, service: str) -> list[tuple[float, str]]:
    """List each change of the pod that answers at a Service, with its time."""
    # Before the Services' names resolve, the caller's log holds tracebacks too.
    lines = kube.run("logs", CALLER, namespace=NAMESPACE).splitlines()
    told = (json.loads(line) for line in lines if line.startswith("["))
    return [(at, name) for at, called, name in told if called == service]


@contextmanager
def _pods(kube: Kube, images: Images) -> Iterator[None]:
    services = [_service(SELECTOR, selector={"app": SERVERS[0]}), _service(ENDPOINTS)]
    programs = {**dict.fromkeys(SERVERS, SERVING), CALLER: CALLING}
    pods = [
        _pod(images, name, program, node.name) for (name, program), node in zip(programs.items(), NODES, strict=True)
    ]
    try:
        kube.apply(*services, *pods)
        for name in programs:
            kube.await_condition(f"pod/{name}", "condition=Ready", NAMESPACE)
        yield
    finally:
        gone: Sequence[str] = [
            *(f"service/{service}" for service in SERVICES),
            f"endpointslice/{ENDPOINTS}",
            *(f"pod/{name}" for name in programs),
        ]
        kube.run("delete", *gone, "--ignore-not-found", "--force", "--grace-period=0", namespace=NAMESPACE)


def _service(name: str, **spec: object) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": PORT}], **spec}}


def _slice(address: str) -> Object:
    labels = {SERVICE_OF: ENDPOINTS}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": ENDPOINTS, "namespace": NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"port": PORT, "protocol": "TCP"}],
        "endpoints": [_endpoint(address)],
    }


def _endpoint(address: str) -> Object:
    return {"addresses": [address], "conditions": {"ready": True}}


def _pod(images: Images, name: str, program: str, node: str) -> Object:
    (pod,) = samples.load(samples.OWN / "stranger.yaml", images, NAMESPACE)
    pod["metadata"] |= {"name": name, "labels": {"app": name}}
    pod["spec"]["nodeName"] = node
    container = pod["spec"]["containers"][0]
    container |= {"image": images.mcp_server, "command": ["python", "-c", program]}
    container["env"] = [{"name": "FLOOR_DOMAIN", "value": f"{NAMESPACE}.svc"}]
    return pod
