"""Measures what we add to the creation of an MCPServer on a real API server, with our processes beside it."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from typing import TYPE_CHECKING, Final

from deploy.local import api, progress
from deploy.local.controlplane import ControlPlane
from tests.bench.cases import STORAGE, server
from tests.bench.figures import Figures
from tests.integration.conftest import Kubectl, free_port, install_chart, install_toolhive_crds, running_processes
from tests.integration.mcpservers import await_wiring

if TYPE_CHECKING:
    from pathlib import Path

    from shared.resources import Object

WITH_US: Final = "with a reference, wired by us"
WITHOUT_US: Final = "with a reference, in a namespace where we are not asked"
NO_REFERENCE: Final = "without a reference"
ENTRIES: Final = 90
"""Settings of a server of about 10 kB."""
WARM_UP: Final = 50
_NAMESPACES: Final = {WITH_US: "team", WITHOUT_US: "kube-system", NO_REFERENCE: "team"}
_FIELD: Final = "sessionStorageRef"


def measure(directory: Path, creates: int) -> dict[str, Figures]:
    """Create servers in turns, with us and without us, over one connection.

    Args:
        directory: For the control plane and our processes.
        creates: How many of each.
    """
    with contextlib.ExitStack() as stack:
        control_plane = stack.enter_context(ControlPlane.on_loopback(directory / "control-plane"))
        kubectl, port = Kubectl(control_plane.kubeconfig), free_port()
        install_toolhive_crds(kubectl)
        objects = install_chart(kubectl, port)
        stack.enter_context(running_processes(objects, kubectl, control_plane.kubeconfig, port, directory))
        await_wiring(kubectl)
        kubectl("create", "namespace", _NAMESPACES[WITH_US])
        kubectl.apply(STORAGE)
        connection = stack.enter_context(contextlib.closing(api.Client(control_plane.kubeconfig).connection()))
        progress.step(f"measuring {creates} creates of each kind")
        return _measure(connection, creates)


def _measure(connection: http.client.HTTPSConnection, creates: int) -> dict[str, Figures]:
    nanoseconds: dict[str, list[int]] = {arm: [] for arm in _NAMESPACES}
    for number in range(WARM_UP + creates):
        for arm in _NAMESPACES:
            took = _create(connection, arm, number)
            if number >= WARM_UP:
                nanoseconds[arm].append(took)
    return {arm: Figures.of(sum(taken) / 1e9, taken) for arm, taken in nanoseconds.items()}


def _create(connection: http.client.HTTPSConnection, arm: str, number: int) -> int:
    obj = _server(arm, number)
    path = f"/apis/{obj['apiVersion']}/namespaces/{obj['metadata']['namespace']}/mcpservers"
    body = json.dumps(obj)
    start = time.perf_counter_ns()
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    took = time.perf_counter_ns() - start
    assert answer.status == http.client.CREATED, content
    assert ("sessionStorage" in json.loads(content)["spec"]) == (arm == WITH_US), f"{arm}: {content!r}"
    return took


def _server(arm: str, number: int) -> Object:
    obj = server(ENTRIES)
    del obj["metadata"]["managedFields"]
    suffix = "-alone" if arm == NO_REFERENCE else ""
    obj["metadata"] |= {"name": f"search-{number}{suffix}", "namespace": _NAMESPACES[arm]}
    if arm == NO_REFERENCE:
        del obj["spec"][_FIELD]
    return obj
