"""What users notice while the webhook is away, or after an upgrade has removed our field from ToolHive's CRD."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator

import pytest
import yaml

from shared.objects.resources import MCP_SERVERS
from tests.integration.control_plane import Kubectl
from tests.integration.mcpservers import (
    await_injection,
    defaults,
    has_field,
    injected_fields,
    install_toolhive_crd,
    server,
    stored,
)
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_reason, storage

EXTERNAL = {"url": "redis://there:6379", "secretRef": "absent"}
FINALIZER = "toolhive.stacklok.dev/finalizer"
NOW = "2026-11-24T12:00:00Z"


@pytest.fixture(autouse=True)
def _injecting(processes: dict[str, Process], kubectl: Kubectl) -> None:
    del processes
    await_injection(kubectl)


@pytest.fixture
def webhook_can_go(processes: dict[str, Process], kubectl: Kubectl) -> Iterator[Process]:
    """Return the webhook's process, and restart it after the test."""
    webhook = processes["webhook"]
    yield webhook
    webhook.kill()
    webhook.start()
    webhook.await_ready()
    await_injection(kubectl)


def freeze(process: Process) -> None:
    os.kill(process.pid, signal.SIGSTOP)


@pytest.mark.parametrize("leave", [Process.kill, freeze], ids=["killed", "frozen"])
def test_without_the_webhook_only_servers_with_a_reference_wait(
    kubectl: Kubectl, namespace: str, webhook_can_go: Process, leave: Callable[[Process], None]
) -> None:
    leave(webhook_can_go)
    kubectl.api.create(server(namespace))
    kubectl("patch", "mcpserver", "srv", "-n", namespace, "--type=merge", "-p", '{"spec":{"image":"mcp:2"}}')
    kubectl("delete", "mcpserver", "srv", "-n", namespace)
    said = kubectl.fails("create", "-f", "-", stdin=json.dumps(server(namespace, sessionStorageRef="mine")))
    assert 'failed calling webhook "consumers.toolhive.stacklok.dev"' in said
    assert "session-storage-webhook.session-storage-system.svc" in said


def test_without_the_webhook_a_connected_server_lives_on_and_can_be_deleted(
    kubectl: Kubectl, namespace: str, webhook_can_go: Process
) -> None:
    kubectl.api.create(server(namespace, sessionStorageRef="mine"))
    webhook_can_go.kill()
    # A user asks for a restart. ToolHive's operator notes that it has handled this, or it would restart again and
    # again; it writes its finalizer, labels and status, and removes the finalizer at the end.
    for note in ("restarted-at", "last-processed-restart"):
        kubectl("annotate", "mcpserver", "srv", "-n", namespace, f"mcpserver.toolhive.stacklok.dev/{note}={NOW}")
    set_finalizer = json.dumps({"metadata": {"finalizers": [FINALIZER], "labels": {"a": "b"}}})
    kubectl("patch", "mcpserver", "srv", "-n", namespace, "--type=merge", "-p", set_finalizer)
    kubectl(
        "patch", "mcpserver", "srv", "-n", namespace, "--subresource=status", "--type=merge",
        "-p", '{"status":{"message":"seen"}}',
    )  # fmt: skip
    kubectl("delete", "mcpserver", "srv", "-n", namespace, "--wait=false")
    assert stored(kubectl, namespace)["metadata"]["deletionTimestamp"]
    kubectl("patch", "mcpserver", "srv", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":[]}}')
    eventually(lambda: not kubectl.api.list(MCP_SERVERS, namespace), what="the server is gone")


def test_without_the_webhook_no_storage_is_created_but_one_can_be_deleted(
    kubectl: Kubectl, namespace: str, webhook_can_go: Process
) -> None:
    kubectl.api.apply(storage("mine", namespace, external=EXTERNAL))
    webhook_can_go.kill()
    await_reason(kubectl, namespace, "mine", "SecretNotFound")
    said = kubectl.fails("create", "-f", "-", stdin=json.dumps(storage("other", namespace, size="small")))
    assert 'failed calling webhook "sessionstorages.toolhive.stacklok.dev"' in said
    kubectl("delete", "sessionstorage", "mine", "-n", namespace)


def test_the_field_that_an_upgrade_of_toolhive_removes_is_restored_at_once(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.create(server(namespace, sessionStorageRef="mine"))
    before = stored(kubectl, namespace)
    install_toolhive_crd(kubectl)
    eventually(lambda: has_field(kubectl), seconds=5, what="the field is back")
    eventually(lambda: stored(kubectl, namespace) == before, what="the server is as it was")


def test_a_server_stays_connected_through_a_long_absence_of_the_field(
    kubectl: Kubectl, namespace: str, processes: dict[str, Process]
) -> None:
    plain = defaults(kubectl)
    asked = server(namespace, sessionStorageRef="mine")
    kubectl.api.create(asked)
    reconciler = processes["reconciler"]
    reconciler.kill()
    try:
        install_toolhive_crd(kubectl)
        eventually(lambda: "sessionStorageRef" not in stored(kubectl, namespace)["spec"], what="the field is lost")
        said = kubectl.warns(
            "patch", "mcpserver", "srv", "-n", namespace, "--type=merge", "-p", '{"spec":{"image":"mcp:2"}}'
        )
        assert f'SessionStorage "{namespace}/mine" stays connected' in said
        assert stored(kubectl, namespace)["spec"] == {**plain, "image": "mcp:2", **injected_fields("mine", namespace)}
    finally:
        reconciler.start()
    reconciler.await_ready()
    await_injection(kubectl)
    kubectl("patch", "mcpserver", "srv", "-n", namespace, "--type=merge", "-p", '{"spec":{"image":"mcp:3"}}')
    assert stored(kubectl, namespace)["spec"] == {**plain, "image": "mcp:3", **injected_fields("mine", namespace)}
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(asked))
    assert stored(kubectl, namespace)["spec"] == {
        **plain,
        "sessionStorageRef": "mine",
        **injected_fields("mine", namespace),
    }
    kubectl("patch", "mcpserver", "srv", "-n", namespace, "--type=merge", "-p", '{"spec":{"sessionStorageRef":null}}')
    assert stored(kubectl, namespace)["spec"] == plain
