"""Which storage a consumer of each kind refers to, and which of its parts it targets, on a real API server."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from pathlib import Path

import pytest

from shared.objects.resources import Object
from tests.integration.consumers import KINDS, await_injection_of_all, change, change_is_refused, consumer, found
from tests.integration.control_plane import Kubectl
from tests.integration.installation import NAMESPACE, RELEASE, chart_objects, environment_of
from tests.integration.loopback import free_port
from tests.integration.mcpservers import ANNOTATION, RECORD
from tests.integration.processes import Process
from tests.integration.storages import read
from tests.support.hostile import JSON, review

DIFFERENT = f"metadata.annotations[{ANNOTATION}]: Invalid value: names SessionStorage"


@pytest.fixture(autouse=True)
def _injecting(processes: dict[str, Process], kubectl: Kubectl) -> None:
    await_injection_of_all(kubectl)


@pytest.mark.parametrize("kind", KINDS)
def test_two_references_that_agree_are_one(kubectl: Kubectl, namespace: str, kind: str) -> None:
    both = consumer(kind, namespace, {ANNOTATION: f"{namespace}/mine"}, sessionStorageRef={"name": "mine"})
    kubectl.api.create(both)
    connected = found(kubectl, kind, namespace)
    change(kubectl, kind, namespace, {"metadata": {"annotations": {ANNOTATION: None}}})
    assert found(kubectl, kind, namespace)["spec"] == connected["spec"]
    change(kubectl, kind, namespace, {"metadata": {"annotations": {ANNOTATION: "mine"}}})
    change(kubectl, kind, namespace, {"spec": {"sessionStorageRef": None}})
    annotated = found(kubectl, kind, namespace)
    assert annotated["spec"]["sessionStorage"] == connected["spec"]["sessionStorage"]
    change(kubectl, kind, namespace, {"metadata": {"annotations": {ANNOTATION: None}}})
    left = found(kubectl, kind, namespace)
    assert "sessionStorage" not in left["spec"]
    assert "podTemplateSpec" not in left["spec"]
    assert RECORD not in left["metadata"].get("annotations", {})


@pytest.mark.parametrize("kind", KINDS)
def test_two_references_that_differ_are_refused(kubectl: Kubectl, namespace: str, kind: str) -> None:
    differing = consumer(kind, namespace, {ANNOTATION: "other"}, sessionStorageRef="mine")
    said = kubectl.fails("create", "-f", "-", stdin=json.dumps(differing))
    names = f'"{namespace}/other", but spec.sessionStorageRef names "{namespace}/mine": keep one of them'
    assert f"{DIFFERENT} {names}" in said
    kubectl.api.create(consumer(kind, namespace, sessionStorageRef="mine"))
    said = change_is_refused(kubectl, kind, namespace, {"metadata": {"annotations": {ANNOTATION: "other"}}})
    assert "keep one of them" in said


@pytest.mark.parametrize("target", ["backend", "proxy", "none"])
def test_the_charts_targets_are_those_of_consumers_that_say_nothing(
    kubectl: Kubectl, processes: dict[str, Process], tmp_path: Path, target: str
) -> None:
    said = environment_of(chart_objects(f"targets={target}"), "webhook")
    ports = {"HTTP_PORT": str(free_port()), "WEBHOOK_PORT": str(free_port())}
    webhook = Process("webhook", processes["webhook"].environ | said | ports, tmp_path / "webhook.log")
    webhook.start()
    webhook.await_ready()
    try:
        patch = patch_of(
            kubectl, int(ports["WEBHOOK_PORT"]), consumer("MCPServer", "default", sessionStorageRef="mine")
        )
    finally:
        webhook.kill()
    assert f'"for":"{target}"' in json.dumps(patch).replace("\\", "")
    touched = {operation["path"] for operation in patch}
    assert ("/spec/podTemplateSpec" in touched) == (target == "backend")
    assert ("/spec/sessionStorage" in touched) == (target == "proxy")


def patch_of(kubectl: Kubectl, port: int, obj: Object) -> list[dict[str, str]]:
    """Call a webhook as an API server does."""
    secret = read(kubectl, "secret", f"{RELEASE}-webhook-tls", NAMESPACE)
    trusting = ssl.create_default_context(cadata=base64.b64decode(secret["data"]["ca.crt"]).decode())
    trusting.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=10)
    try:
        connection.request("POST", "/mutate/consumers", json.dumps(review(obj)), {"Content-Type": JSON})
        response = json.loads(connection.getresponse().read())["response"]
    finally:
        connection.close()
    patch: list[dict[str, str]] = json.loads(base64.b64decode(response["patch"]))
    return patch
