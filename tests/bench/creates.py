"""Measures how much longer creating an MCPServer takes because of our webhook, on a real API server.

The benchmark sends creates at a fixed rate and does not wait for earlier ones (an open loop). A loop that waits would
keep all processors busy, and the slowest creates would measure the queue for a processor instead of the webhook.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.local import api, progress
from deploy.local.loopback import ControlPlane
from tests.bench import image, rival, servers
from tests.bench.calls import Webhook, webhook_calls
from tests.bench.cases import STORAGE, server
from tests.bench.figures import Figures
from tests.integration.control_plane import Kubectl
from tests.integration.installation import install_chart, install_toolhive_crds, running_processes
from tests.integration.loopback import free_port
from tests.integration.mcpservers import await_injection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shared.objects.resources import Object
    from tests.bench.calls import WebhookCalls

WITH_US: Final = "with a reference, connected by our webhook"
WITHOUT_US: Final = "with a reference, in a namespace that our webhook excludes"
THEIRS: Final = "with a reference, connected by the Go webhook on controller-runtime"
NO_REFERENCE: Final = "without a reference"
ENTRIES: Final = 90
"""Environment variables of an MCPServer of about 10 kB."""
WARM_UP: Final = 50
PER_SECOND: Final = 6
"""Creates per second, of all kinds together; a busy cluster has a few.

Twenty a second kept two slow processors busy: a create without a reference then took 30 ms at p50 and 500 ms at p99,
so that the webhook's share disappeared in the queue.
"""
_AT_ONCE: Final = 16
"""Connections; so many that no create has to wait for one while creates take less than 0.8 s."""
_NAMESPACES: Final = {WITH_US: "team", THEIRS: rival.NAMESPACE, WITHOUT_US: rival.NAMESPACE, NO_REFERENCE: "team"}
_WEBHOOK: Final = "consumers.toolhive.stacklok.dev"
_FIELD: Final = "sessionStorageRef"


@dataclass(frozen=True)
class Created:
    """What was measured.

    Attributes:
        figures: Durations of creates, by kind of create (`WITH_US` and so on).
        webhook_calls: The API server's calls to the webhook that is asked about this kind of create.
    """

    figures: Mapping[str, Figures]
    webhook_calls: Mapping[str, WebhookCalls]


def measure(directory: Path, root: Path, creates: int) -> Created:
    """Create MCPServers of all kinds in turns.

    Args:
        directory: Directory for the files of the control plane and of our processes.
        root: Directory with the unpacked product image.
        creates: How many MCPServers of each kind to create.
    """
    commands = {component: image.command(root, component, directory) for component in ("webhook", "reconciler")}
    with contextlib.ExitStack() as stack:
        control_plane = stack.enter_context(ControlPlane.on_loopback(directory / "control-plane"))
        kubectl, port = Kubectl(control_plane.kubeconfig), free_port()
        install_toolhive_crds(kubectl)
        objects = install_chart(kubectl, port)
        stack.enter_context(running_processes(objects, kubectl, port, directory, commands))
        await_injection(kubectl)
        kubectl("create", "namespace", _NAMESPACES[WITH_US])
        kubectl.apply(STORAGE)
        theirs = stack.enter_context(rival.running(kubectl, directory / "rival"))
        ours = Webhook(_WEBHOOK, f"{servers.NAME}:{port}")
        progress.step(f"measuring {creates} creates of each kind, {PER_SECOND} in a second")
        return _measure(kubectl, {WITH_US: ours, THEIRS: theirs}, creates)


class _Connections:
    """Persistent connections to the API server, one for each thread."""

    def __init__(self, client: api.Client) -> None:
        self._client = client
        self._own = threading.local()
        self._all: list[http.client.HTTPSConnection] = []

    @property
    def own(self) -> http.client.HTTPSConnection:
        """The connection of the calling thread."""
        if not hasattr(self._own, "connection"):
            self._own.connection = self._client.connection()
            self._all.append(self._own.connection)
        connection: http.client.HTTPSConnection = self._own.connection
        return connection

    def close(self) -> None:
        """Close all."""
        for connection in self._all:
            connection.close()


def _measure(kubectl: Kubectl, webhooks: Mapping[str, Webhook], creates: int) -> Created:
    with contextlib.closing(_Connections(api.Client(kubectl.kubeconfig))) as connections:
        _offer(connections, range(WARM_UP))
        before = kubectl("get", "--raw", "/metrics")
        took = _offer(connections, range(WARM_UP, WARM_UP + creates))
    after = kubectl("get", "--raw", "/metrics")
    seconds = len(_NAMESPACES) * creates / PER_SECOND
    return Created(
        {arm: Figures.of(seconds, own) for arm, own in took.items()},
        {arm: webhook_calls(after, webhook).since(webhook_calls(before, webhook)) for arm, webhook in webhooks.items()},
    )


def _offer(connections: _Connections, numbers: range) -> dict[str, list[int]]:
    # The order rotates, because the work that one create leaves behind slows the next one down.
    offered = [(arm, number) for number in numbers for arm in _rotated(tuple(_NAMESPACES), number)]
    start = time.perf_counter_ns()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pending: dict[str, list[Future[int]]] = {arm: [] for arm in _NAMESPACES}
        for place, (arm, number) in enumerate(offered):
            obj, due = _server(arm, number), start + place * 10**9 // PER_SECOND
            path = f"/apis/{obj['apiVersion']}/namespaces/{obj['metadata']['namespace']}/mcpservers"
            body = json.dumps(obj)
            time.sleep(max(0, due - time.perf_counter_ns()) / 1e9)
            pending[arm].append(pool.submit(_create, connections, arm, path, body, due))
    return {arm: [took.result() for took in own] for arm, own in pending.items()}


def _rotated(arms: tuple[str, ...], turn: int) -> tuple[str, ...]:
    first = turn % len(arms)
    return (*arms[first:], *arms[:first])


def _create(connections: _Connections, arm: str, path: str, body: str, due: int) -> int:
    """Create a server, and return the nanoseconds since it was due, so that waiting for a thread counts too."""
    connection = connections.own
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    took = time.perf_counter_ns() - due
    assert answer.status == http.client.CREATED, content
    assert ("sessionStorage" in json.loads(content)["spec"]) == (arm in {WITH_US, THEIRS}), f"{arm}: {content!r}"
    return took


def _server(arm: str, number: int) -> Object:
    obj = server(ENTRIES)
    del obj["metadata"]["managedFields"]
    place = tuple(_NAMESPACES).index(arm)
    obj["metadata"] |= {"name": f"search-{place}-{number}", "namespace": _NAMESPACES[arm]}
    if arm == THEIRS:
        obj["metadata"]["labels"] |= rival.LABELS
    if arm == NO_REFERENCE:
        del obj["spec"][_FIELD]
    return obj
