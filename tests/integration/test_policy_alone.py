"""The policy that demands proof of injection, while API servers call no webhook, or ignore that none answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from shared.consumers.injection_record import InjectionRecord
from shared.objects.resources import Object
from tests.integration.consumers import (
    KINDS,
    WAYS,
    await_injection_of_all,
    change,
    change_is_refused,
    consumer,
    found,
    referring,
)
from tests.integration.control_plane import Kubectl
from tests.integration.guards import BINDING, WEBHOOK, failing_open, without
from tests.integration.installation import CONSUMER_PLURALS
from tests.integration.mcpservers import ANNOTATION, RECORD
from tests.integration.processes import Process, eventually
from tests.rules.rule import auth_config

SAID = "was not connected to it, because the webhook was not called or did not answer: see that"
NOT_YOURS = f"{RECORD}: the webhook alone writes this annotation"
TARGETS = "toolhive.stacklok.dev/session-storage-targets"
PLACES = ("connected", "slipped-by", "empty")
RESOURCES = tuple(f"{plural}.toolhive.stacklok.dev" for plural in CONSUMER_PLURALS)


@pytest.fixture(scope="module", autouse=True)
def _connected(processes: dict[str, Process], kubectl: Kubectl) -> Iterator[None]:
    """Connect a consumer of each kind, and let user `ann` write all of them."""
    await_injection_of_all(kubectl)
    for namespace in PLACES:
        kubectl("create", "namespace", namespace)
    kubectl("create", "clusterrole", "consumers", "--verb=*", f"--resource={','.join(RESOURCES)}")
    kubectl("create", "clusterrolebinding", "consumers", "--clusterrole=consumers", "--user=ann")
    for kind in KINDS:
        kubectl.api.create(referring(kind, "connected", "string"))
    yield
    kubectl("delete", "namespace", *PLACES, "--wait=false")


@pytest.fixture(scope="module", autouse=True, params=["deleted", "ignored"])
def _away(
    _connected: None, request: pytest.FixtureRequest, processes: dict[str, Process], kubectl: Kubectl
) -> Iterator[None]:
    """Store a consumer of each kind without webhook and policy, and then keep the webhook away."""
    for process in processes.values():
        process.kill()
    with contextlib.ExitStack() as stack:
        stack.callback(start, processes)
        kubectl("delete", ",".join(RESOURCES), "--all", "-n", "slipped-by")
        with without(kubectl, WEBHOOK, BINDING):
            for kind in KINDS:
                eventually(partial(can_create, kubectl, kind), what="stored unconnected")
        stack.enter_context(without(kubectl, WEBHOOK) if request.param == "deleted" else failing_open(kubectl))
        asked = referring("MCPServer", "empty", "string")
        eventually(lambda: SAID in kubectl.api.refusal(asked, "--dry-run=server"), what="the policy refuses")
        yield


def can_create(kubectl: Kubectl, kind: str) -> bool:
    return bool(kubectl.api.create(referring(kind, "slipped-by", "string")))


def start(processes: dict[str, Process]) -> None:
    for process in processes.values():
        process.start()
    for process in processes.values():
        process.await_ready()


def tried(kubectl: Kubectl, obj: Object, *arguments: str) -> str:
    """Write an object that the API server refuses, and return its message."""
    return kubectl.api.refusal(obj, "--dry-run=server", *arguments)


def passes(kubectl: Kubectl, obj: Object, *arguments: str) -> bool:
    return bool(kubectl.api.create(obj, "--dry-run=server", *arguments))


def record(**changes: Any) -> str:
    """Build an injection record in the webhook's own form."""
    content = {"by": "field", "for": "all", "granted": False, "made": [], "put": {}, "storage": "empty/mine"}
    return json.dumps(content | changes, separators=(",", ":"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_consumer_that_refers_is_refused_and_told_what_to_do(kubectl: Kubectl, kind: str, way: str) -> None:
    said = tried(kubectl, referring(kind, "empty", way))
    assert f'{kind} "srv" refers to SessionStorage "empty/mine", but {SAID}' in said
    assert "deployment/session-storage-webhook in namespace session-storage-system is ready" in said
    assert said.strip().endswith("mutatingwebhookconfiguration/session-storage-webhook exists, and try again")


def auth(annotations: Any = None, **server: Any) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1beta1",
        "kind": "MCPExternalAuthConfig",
        "metadata": {"name": "login", "namespace": "empty", "annotations": annotations or {}},
        "spec": auth_config(**server) | {"sessionStorageRef": "mine"},
    }


def test_an_auth_server_that_refers_is_refused_without_proof_of_where_its_data_is(kubectl: Kubectl) -> None:
    assert SAID in tried(kubectl, auth())
    claimed = {RECORD: record(put={"/spec/embeddedAuthServer/storage/redis/addr": "a:1"})}
    assert SAID in tried(kubectl, auth(claimed))
    password = {"passwordSecretRef": {"name": "mine-connection", "key": "REDIS_PASSWORD"}}
    for addr in ("b:1", "a:1"):
        asked = auth(claimed, storage={"type": "redis", "redis": {"addr": addr, "aclUserConfig": password}})
        assert passes(kubectl, asked) if addr == "a:1" else SAID in tried(kubectl, asked)
    assert passes(kubectl, {**auth(), "spec": auth_config()})


@pytest.mark.parametrize("kind", KINDS)
def test_a_consumer_without_a_reference_passes(kubectl: Kubectl, kind: str) -> None:
    assert passes(kubectl, consumer(kind, "empty"))
    assert passes(kubectl, consumer(kind, "empty", {TARGETS: "all"}, podTemplateSpec={"spec": {"containers": []}}))
    assert passes(kubectl, consumer(kind, "kube-system", sessionStorageRef="mine"))


@pytest.mark.parametrize("reference", [7, [], {}, {"name": 7}, {"name": None}, {"namespace": "empty"}, ""])
def test_a_malformed_reference_is_refused_too(kubectl: Kubectl, reference: Any) -> None:
    assert SAID in tried(kubectl, consumer("MCPServer", "empty", sessionStorageRef=reference))


@pytest.mark.parametrize(
    "template",
    [None, {}, {"spec": None}, {"spec": []}, {"spec": {"containers": {"name": "mcp"}}},
     {"spec": {"containers": [None, 1, "mcp", {"name": "mcp"}, {"name": "mcp", "envFrom": "x"}]}},
     {"spec": {"containers": [{"name": "mcp", "envFrom": [None, 1, {"secretRef": None}, {"secretRef": {}}]}]}}],
)  # fmt: skip
def test_the_policy_can_judge_a_template_of_any_shape(kubectl: Kubectl, template: Any) -> None:
    claimed = consumer("MCPServer", "empty", {ANNOTATION: "mine", RECORD: record()}, podTemplateSpec=template)
    assert SAID in tried(kubectl, claimed, "--validate=ignore")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("namespace", ["connected", "slipped-by"])
def test_toolhives_operator_can_write_as_always(kubectl: Kubectl, kind: str, namespace: str) -> None:
    """It writes its finalizer, labels, the annotation of a processed restart, and the status."""
    operator = "--as=ann"
    metadata = {
        "finalizers": ["toolhive.stacklok.dev/finalizer"],
        "labels": {"a": "b"},
        "annotations": {"mcpserver.toolhive.stacklok.dev/last-processed-restart": "2026-01-01T00:00:00Z"},
    }
    change(kubectl, kind, namespace, {"metadata": metadata}, operator)
    change(kubectl, kind, namespace, {"status": {"message": "seen"}}, "--subresource=status")
    written = found(kubectl, kind, namespace)
    assert metadata["finalizers"] == written["metadata"]["finalizers"]
    assert written["status"]["message"] == "seen"
    change(kubectl, kind, namespace, {"metadata": {"finalizers": None}}, operator)


@pytest.mark.parametrize("kind", KINDS)
def test_a_consumer_stored_unconnected_can_only_be_changed_to_drop_its_reference(kubectl: Kubectl, kind: str) -> None:
    assert SAID in change_is_refused(kubectl, kind, "slipped-by", {"spec": {"replicas": 2}})
    change(kubectl, kind, "slipped-by", {"spec": {"sessionStorageRef": None}}, "--dry-run=server")


@pytest.mark.parametrize("kind", KINDS)
def test_a_connected_consumer_can_be_changed(kubectl: Kubectl, kind: str) -> None:
    change(kubectl, kind, "connected", {"spec": {"replicas": 3}})
    change(kubectl, kind, "connected", {"spec": {"replicas": None}})
    let_go = {"spec": {"sessionStorageRef": None}, "metadata": {"annotations": {RECORD: None}}}
    change(kubectl, kind, "connected", let_go, "--dry-run=server")


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"spec": {"sessionStorageRef": "other"}}, id="another storage"),
        pytest.param({"metadata": {"annotations": {ANNOTATION: "other"}}}, id="another storage by annotation"),
        pytest.param({"metadata": {"annotations": {TARGETS: "none"}}}, id="other targets"),
        pytest.param({"metadata": {"annotations": {RECORD: None}}}, id="no record"),
        pytest.param({"spec": {"sessionStorage": None}}, id="no sessionStorage"),
        pytest.param({"spec": {"sessionStorage": {"address": "there:6379"}}}, id="another address"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_connected_consumer_stays_connected(kubectl: Kubectl, kind: str, patch: Any) -> None:
    assert SAID in change_is_refused(kubectl, kind, "connected", patch)


@pytest.mark.parametrize("kind", ["MCPServer", "VirtualMCPServer"])
def test_the_container_goes_on_reading_the_secret(kubectl: Kubectl, kind: str) -> None:
    assert SAID in change_is_refused(kubectl, kind, "connected", {"spec": {"podTemplateSpec": None}})
    template = found(kubectl, kind, "connected")["spec"]["podTemplateSpec"]
    (container,) = template["spec"]["containers"]
    for sources in ([], [{"secretRef": {"name": "other"}}], [{**container["envFrom"][0], "prefix": "X_"}]):
        changed = {"spec": {"podTemplateSpec": {"spec": {"containers": [{**container, "envFrom": sources}]}}}}
        assert SAID in change_is_refused(kubectl, kind, "connected", changed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_a_connected_consumer_is_refused(kubectl: Kubectl, kind: str) -> None:
    """The copy would read and write the sessions of the original."""
    copy = found(kubectl, kind, "connected")
    annotations = copy["metadata"]["annotations"]
    copy["metadata"] = {"name": "copy", "namespace": "connected", "annotations": annotations}
    assert SAID in tried(kubectl, copy)


GRANTING = record(storage="far/mine", granted=True)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GRANTING, id="as the webhook would"),
        pytest.param(GRANTING.replace(":", ": "), id="spaces"),
        pytest.param(GRANTING.replace("granted", "gr\\u0061nted"), id="escapes"),
        pytest.param(GRANTING.replace('"granted":true', '"granted":false,"made":[],"granted":true'), id="twice"),
        pytest.param(
            GRANTING.replace('"granted":true', '"granted":false').replace('"put"', '"granted":true,"put"'), id="later"
        ),
        pytest.param(
            GRANTING.replace('"granted":true', '"granted":false').replace('"put"', '"gr\\u0061nted":true,"put"'),
            id="later, with an escape",
        ),
        pytest.param(
            json.dumps(dict(reversed(json.loads(GRANTING).items())), separators=(",", ":")), id="in another order"
        ),
    ],
)
@pytest.mark.parametrize("way", ["with a reference", "without one"])
def test_nobody_can_grant_themselves_a_right(kubectl: Kubectl, text: str, way: str) -> None:
    """Each of these records reads as a grant, by which the reconciler would copy the credential into this namespace."""
    annotations = {RECORD: text} | ({ANNOTATION: "far/mine"} if way == "with a reference" else {})
    forged = consumer("MCPRemoteProxy", "empty", annotations)
    read = InjectionRecord.of(forged)
    assert read is not None
    assert read.is_granted
    assert (NOT_YOURS if way == "without one" else "denied request") in tried(kubectl, forged, "--as=ann")
    patch = {"metadata": {"annotations": {RECORD: text}}}
    assert "denied request" in change_is_refused(kubectl, "MCPRemoteProxy", "connected", patch, "--as=ann")


def test_a_user_with_the_right_can_record_it_and_others_can_keep_the_record(kubectl: Kubectl) -> None:
    granted = consumer("MCPRemoteProxy", "empty", {ANNOTATION: "far/mine", RECORD: GRANTING})
    kubectl.api.create(granted)
    try:
        operator = "--as=ann"
        change(kubectl, "MCPRemoteProxy", "empty", {"spec": {"replicas": 2}}, operator)
        another = {"metadata": {"annotations": {ANNOTATION: "far/other", RECORD: GRANTING.replace("mine", "other")}}}
        assert NOT_YOURS in change_is_refused(kubectl, "MCPRemoteProxy", "empty", another, operator)
    finally:
        kubectl("delete", "mcpremoteproxy", "srv", "-n", "empty")


def test_a_record_of_a_service_account_grants_nothing(kubectl: Kubectl) -> None:
    """Argo CD and Flux may use every storage themselves, whoever wrote what they apply."""
    account = "system:serviceaccount:argocd:argocd-application-controller"
    kubectl("create", "clusterrolebinding", "gitops", "--clusterrole=cluster-admin", f"--user={account}")
    try:
        granted = consumer("MCPRemoteProxy", "empty", {ANNOTATION: "far/mine", RECORD: GRANTING})
        eventually(lambda: NOT_YOURS in tried(kubectl, granted, f"--as={account}"), what="refused for the account")
        assert passes(kubectl, granted)
    finally:
        kubectl("delete", "clusterrolebinding", "gitops")


def test_a_made_up_record_only_leaves_its_authors_consumer_unconnected(kubectl: Kubectl) -> None:
    """The annotation for targets allows the same, and openly; the next write that the webhook sees repairs it."""
    unconnected = consumer("MCPServer", "empty", {RECORD: record(**{"for": "none"})}, sessionStorageRef="mine")
    assert passes(kubectl, unconnected, "--as=ann")
    assert passes(
        kubectl,
        consumer("MCPServer", "empty", {ANNOTATION: "mine", TARGETS: "none", RECORD: record(**{"for": "none"})}),
    )
