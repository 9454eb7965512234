"""The policy that demands proof of injection never refuses anything while the webhook works."""

from __future__ import annotations

import json

import pytest

from tests.integration.consumers import (
    KINDS,
    WAYS,
    await_injection_of_all,
    change,
    consumer,
    found,
    referring,
)
from tests.integration.control_plane import Kubectl
from tests.integration.guards import BINDING, WEBHOOK, without
from tests.integration.installation import RELEASE, chart_objects
from tests.integration.mcpservers import ANNOTATION, RECORD
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_reason, storage

TARGETS = "toolhive.stacklok.dev/session-storage-targets"
NAME = f"{RELEASE}-injection"
EXTERNAL = {"url": "redis://there:6379", "secretRef": "absent"}


@pytest.fixture(autouse=True)
def _injecting(processes: dict[str, Process], kubectl: Kubectl) -> None:
    await_injection_of_all(kubectl)


def as_editor(kubectl: Kubectl, namespace: str) -> str:
    """Let user `ann` do everything in a namespace, except use storages of other namespaces."""
    kubectl("create", "role", "servers", "--verb=*", "--resource=mcpservers.toolhive.stacklok.dev", "-n", namespace)
    kubectl("create", "rolebinding", "ann-servers", "--role=servers", "--user=ann", "-n", namespace)
    return "--as=ann"


def test_the_api_server_accepts_the_expressions_of_all_policies(kubectl: Kubectl) -> None:
    def statuses() -> dict[str, object]:
        policies = json.loads(kubectl("get", "validatingadmissionpolicies", "-o", "json"))["items"]
        assert all(each["status"]["observedGeneration"] == each["metadata"]["generation"] for each in policies)
        return {each["metadata"]["name"]: each["status"]["typeChecking"] for each in policies}

    eventually(lambda: bool(statuses()), what="the API server has checked the types of the expressions")
    found = statuses()
    assert NAME in found
    assert found == {name: {} for name in found}


def test_the_chart_has_the_policy_and_its_binding_unless_values_say_otherwise() -> None:
    def found(*values: str) -> set[str]:
        return {obj["kind"] for obj in chart_objects(*values) if obj["metadata"]["name"] == NAME}

    assert found() == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert found("requireInjection=false") == set()


def test_every_write_that_the_policy_judges_is_sent_to_the_webhook_too() -> None:
    objects = {(obj["kind"], obj["metadata"]["name"]): obj for obj in chart_objects()}
    policy = objects["ValidatingAdmissionPolicy", NAME]["spec"]
    webhooks = objects["MutatingWebhookConfiguration", f"{RELEASE}-webhook"]["webhooks"]
    (webhook,) = [each for each in webhooks if each["name"].startswith("consumers.")]
    theirs, ours = (
        {item["name"]: item["expression"] for item in each["matchConditions"]} for each in (webhook, policy)
    )
    refers = ours.pop("refers")
    assert theirs.pop("refers-now-or-before").startswith(refers)
    assert ours == theirs
    assert policy["matchConstraints"]["resourceRules"] == webhook["rules"]
    assert policy["matchConstraints"]["namespaceSelector"] == webhook["namespaceSelector"]
    assert policy["matchConstraints"]["matchPolicy"] == webhook["matchPolicy"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_connected_consumer_passes(kubectl: Kubectl, namespace: str, kind: str, way: str) -> None:
    kubectl.api.create(referring(kind, namespace, way))
    change(kubectl, kind, namespace, {"spec": {"replicas": 2}})
    assert f'"storage":"{namespace}/mine"' in found(kubectl, kind, namespace)["metadata"]["annotations"][RECORD]
    without_reference = {"metadata": {"annotations": {ANNOTATION: None}}, "spec": {"sessionStorageRef": None}}
    change(kubectl, kind, namespace, without_reference)
    assert RECORD not in found(kubectl, kind, namespace)["metadata"].get("annotations", {})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["backend", "proxy", "all", "none"])
def test_every_choice_of_targets_passes(kubectl: Kubectl, namespace: str, kind: str, target: str) -> None:
    annotations = {ANNOTATION: "mine", TARGETS: target}
    kubectl.api.create(consumer(kind, namespace, annotations))
    other = "none" if target == "all" else "all"
    change(kubectl, kind, namespace, {"metadata": {"annotations": {TARGETS: other}}})
    change(kubectl, kind, namespace, {"metadata": {"annotations": {TARGETS: None}}})
    assert '"for":"all"' in found(kubectl, kind, namespace)["metadata"]["annotations"][RECORD]


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_proxies_cannot_use_passes(kubectl: Kubectl, namespace: str, kind: str) -> None:
    kubectl.api.apply(storage("mine", namespace, external=EXTERNAL))
    await_reason(kubectl, namespace, "mine", "SecretNotFound")
    kubectl.api.create(referring(kind, namespace, "string"))
    assert "sessionStorage" not in found(kubectl, kind, namespace)["spec"]


@pytest.mark.parametrize("kind", KINDS)
def test_another_namespaces_storage_and_a_generated_name_pass(kubectl: Kubectl, namespace: str, kind: str) -> None:
    asked = consumer(kind, namespace, sessionStorageRef={"name": "mine", "namespace": "far"})
    del asked["metadata"]["name"]
    asked["metadata"]["generateName"] = "srv-"
    assert "created" in kubectl("create", "-f", "-", stdin=json.dumps(asked))


def test_a_write_to_a_consumer_whose_reference_somebody_else_made_without_the_right_passes(
    kubectl: Kubectl, namespace: str
) -> None:
    asked = json.dumps(consumer("MCPServer", namespace, {ANNOTATION: "far/mine"}))
    with without(kubectl, WEBHOOK, BINDING):
        eventually(lambda: "created" in kubectl("create", "-f", "-", stdin=asked), what="stored unconnected")
    change(kubectl, "MCPServer", namespace, {"spec": {"image": "other"}}, as_editor(kubectl, namespace))
    stored = found(kubectl, "MCPServer", namespace)
    assert stored["spec"]["image"] == "other"
    assert "sessionStorage" not in stored["spec"]
