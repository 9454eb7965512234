"""A stage for drills, with a control plane of its own: half of the chart's objects can exist only once in a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import yaml

from tests.integration.certificates.relay import Relay
from tests.integration.certificates.stage import Stage
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import LEFT_OUT, NAMESPACE, RELEASE, chart_objects, environment_of, kubeconfig_for
from tests.integration.loopback import free_port
from tests.integration.mcpservers import install_toolhive_crd
from tests.integration.processes import Process

DWELL = {"DWELL": "500ms"}
"""Long enough for one API server whose watch is milliseconds late."""
DRAIN_SECONDS = "3"
"""Seconds; longer than a process waits for a processor on a busy machine."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        directory = tmp_path_factory.mktemp("drills")
        control_plane = stack.enter_context(running_control_plane(directory / "control-plane"))
        kubectl = Kubectl(control_plane.kubeconfig)
        service, network = Relay(free_port()), Relay(free_port(), [_port(control_plane.url)])
        stage = Stage(control_plane, kubectl, service, network, directory)
        _install(stage, kubectl)
        admin = yaml.safe_load(control_plane.kubeconfig.read_text())
        admin["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{network.port}"
        relayed = directory / "relayed.kubeconfig"
        relayed.write_text(yaml.safe_dump(admin))
        for component in ("webhook", "reconciler"):
            account = f"{RELEASE}-{component}"
            stage.environs[component] = environment_of(chart_objects(), component) | {
                "KUBECONFIG": str(kubeconfig_for(kubectl, relayed, account, directory)),
                "POD_NAMESPACE": NAMESPACE,
                "DRAIN_SECONDS": DRAIN_SECONDS,
            }
        stack.enter_context(stage.open())
        yield stage


@pytest.fixture(scope="module")
def replicas(stage: Stage, first_certificates: None) -> Iterator[None]:
    """Two webhook replicas; a drill may replace them."""
    with contextlib.ExitStack() as stack:
        stack.callback(stage.kill_replicas)
        for number in range(2):
            stage.add_replica(f"webhook-{number}")
        yield


@pytest.fixture(scope="module")
def first_certificates(stage: Stage) -> None:
    """Have a reconciler issue the first certificates."""
    with stage.supervised(stage.process("reconciler", "reconciler-0", **DWELL)):
        stage.await_stable()


@pytest.fixture
def reconciler(stage: Stage, replicas: None) -> Iterator[Process]:
    """The reconciler, with lives of days and a dwell of half a second."""
    with stage.supervised(stage.process("reconciler", "reconciler-0", **DWELL)) as process:
        process.await_ready()
        stage.await_stable()
        yield process


def _install(stage: Stage, kubectl: Kubectl) -> None:
    install_toolhive_crd(kubectl)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    objects = chart_objects()
    for obj in objects:
        obj["metadata"].setdefault("namespace", NAMESPACE)
        if obj["kind"] == "Service":
            # The API server follows an ExternalName for webhooks, and still verifies the Service's own name.
            port = {"name": "https", "port": stage.service.port}
            obj["spec"] = {"type": "ExternalName", "externalName": "localhost", "ports": [port]}
        for webhook in obj.get("webhooks", []):
            webhook["clientConfig"]["service"]["port"] = stage.service.port
    kubectl.apply(*(obj for obj in objects if obj["kind"] not in LEFT_OUT))
    kubectl("wait", "--for=condition=Established", "crd/sessionstorages.toolhive.stacklok.dev")


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
