from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest

from shared.consumers.targets import Target
from shared.names import ANNOTATION_INJECTION, ANNOTATION_STORAGE
from webhook.admission import consumers
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny, Patch

if TYPE_CHECKING:
    from shared.objects.resources import Object

METADATA = {"name": "store", "namespace": "ns"}
MANAGED = {("ns", "store"): {"metadata": METADATA, "spec": {"size": "small"}}}
EXTERNAL = {("ns", "store"): {"metadata": METADATA, "spec": {"external": {"url": "redis://there"}}}}


def server(spec: Any = None, annotations: Any = None, **metadata: Any) -> Object:
    if annotations:
        metadata["annotations"] = annotations
    return {"kind": "MCPServer", "metadata": {"name": "srv", "namespace": "ns", **metadata}, "spec": spec or {}}


def decide(new: Object, old: Object | None = None, known: Any = MANAGED) -> Decision:
    request = AdmissionRequest("1", "UPDATE" if old else "CREATE", "ns", "", new, old)
    return consumers.decide(consumers.ConsumerWrite.of(request), known, Target.ALL)


def patched(new: Object, old: Object | None = None, known: Any = MANAGED) -> Object:
    decision = decide(new, old, known)
    assert isinstance(decision, Patch)
    result: Object = jsonpatch.apply_patch(new, json.dumps(decision.operations))
    return result


def without_field(obj: Object) -> Object:
    obj = copy.deepcopy(obj)
    del obj["spec"]["sessionStorageRef"]
    return obj


REFERRING = server({"sessionStorageRef": "store"})
INJECTED = patched(REFERRING)


def test_a_connected_consumer_of_a_known_storage_passes_without_a_warning() -> None:
    assert decide(INJECTED) == Allow()


def test_a_consumer_without_a_reference_passes_unchanged() -> None:
    assert decide(server({"sessionStorage": {"provider": "memory"}})) == Allow()


def test_a_reference_is_connected_on_update_too() -> None:
    assert patched(REFERRING, old=server({})) == INJECTED


def test_removing_the_reference_removes_everything_injected() -> None:
    assert patched(without_field(INJECTED), old=INJECTED) == server({})


def test_a_second_decision_within_one_request_changes_nothing() -> None:
    """The API server calls again when another webhook has changed the object in between."""
    assert decide(INJECTED, old=server({})) == Allow()
    assert decide(server({}), old=INJECTED) == Allow()


def test_injected_settings_stay_ours_if_a_client_drops_the_injection_record() -> None:
    stripped = copy.deepcopy(INJECTED)
    del stripped["metadata"]["annotations"]
    assert patched(stripped, old=INJECTED) == INJECTED
    assert patched(without_field(stripped), old=INJECTED) == server({})


def test_a_field_that_the_crd_lost_does_not_disconnect() -> None:
    """Neither the stored nor the new object has the field then, so nobody removed it."""
    stored = without_field(INJECTED)
    written = copy.deepcopy(stored)
    written["spec"]["image"] = "new"
    decision = decide(written, old=stored)
    assert isinstance(decision, Allow)
    (warning,) = decision.warnings
    assert "stays connected" in warning


def test_a_copy_of_a_connected_consumer_gets_a_key_prefix_of_its_own() -> None:
    other = copy.deepcopy(INJECTED)
    other["metadata"]["name"] = "other"
    assert patched(other)["spec"]["sessionStorage"]["keyPrefix"] == "thv:proxy:session:{ns:other}:"


def test_a_write_to_other_fields_passes_even_if_the_reference_is_bad() -> None:
    bad = server({"sessionStorageRef": "Bad Name"})
    assert isinstance(decide(bad), Deny)
    assert decide({**bad, "metadata": {**bad["metadata"], "finalizers": ["x"]}}, old=bad) == Allow()


def test_a_contradiction_is_refused_with_a_hint_and_without_the_users_value() -> None:
    address = "redis://:hunter2@other:6379"
    decision = decide(server({"sessionStorageRef": "store", "sessionStorage": {"address": address, "db": 3}}))
    assert isinstance(decision, Deny)
    assert [problem.split(":")[0] for problem in decision.problems] == [
        "spec.sessionStorage.address",
        "spec.sessionStorage.db",
    ]
    assert all("leave the field out; how to keep the sessions" in problem for problem in decision.problems)
    assert "hunter2" not in str(decision)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param({"podTemplateSpec": "x"}, "spec.podTemplateSpec: Invalid value: must be an object", id="template"),
        pytest.param(
            {"podTemplateSpec": {"spec": {"containers": {}}}},
            "spec.podTemplateSpec.spec.containers: Invalid value: must be an array",
            id="containers",
        ),
        pytest.param(
            {"podTemplateSpec": {"spec": {"containers": [{"name": "mcp", "envFrom": "x"}]}}},
            "spec.podTemplateSpec.spec.containers[mcp].envFrom: Invalid value: must be an array",
            id="envFrom",
        ),
        pytest.param({"sessionStorage": []}, "spec.sessionStorage: Invalid value: must be an object", id="storage"),
    ],
)
def test_a_field_of_a_wrong_type_is_named_once(spec: Any, problem: str) -> None:
    assert decide(server({"sessionStorageRef": "store", **spec})) == Deny((problem,))


def test_a_reference_to_an_unknown_storage_is_connected_too() -> None:
    assert patched(REFERRING, known={}) == INJECTED
    (warning,) = decide(REFERRING, known={}).warnings
    assert warning == 'SessionStorage "ns/store" does not exist (yet): pods wait until Secret "store-connection" exists'


def test_an_external_storage_reaches_backends_only() -> None:
    spec = patched(REFERRING, known=EXTERNAL)["spec"]
    assert spec.keys() == {"sessionStorageRef", "podTemplateSpec"}
    (warning,) = decide(REFERRING, known=EXTERNAL).warnings
    assert "is external" in warning


def test_a_consumer_of_another_namespaces_storage_reads_the_mirrored_secret() -> None:
    consumer = server(annotations={ANNOTATION_STORAGE: "far/store"})
    known: Any = {
        ("far", "store"): {"metadata": {"name": "store", "namespace": "far"}, "spec": {"allowedNamespaces": ["ns"]}}
    }
    assert patched(consumer, known=known)["spec"]["sessionStorage"]["passwordRef"]["name"] == "far.store-connection"
    assert decide(consumer, known=known).warnings == ()
    unshared: Any = {("far", "store"): {"metadata": {"name": "store", "namespace": "far"}, "spec": {}}}
    refused = decide(consumer, known=unshared)
    assert isinstance(refused, Deny)
    assert refused.reason == "Forbidden"
    later = {**consumer, "spec": {"image": "new"}}
    (warning,) = decide(later, old=consumer, known=unshared).warnings
    assert "nothing is connected" in warning


def test_a_consumer_without_a_name_gets_no_key_prefix_and_thus_no_session_storage_yet() -> None:
    consumer = server({"sessionStorageRef": "store"}, name=None, generateName="srv-")
    assert "sessionStorage" not in patched(consumer)["spec"]
    (warning,) = decide(consumer).warnings
    assert "generateName" in warning


def test_the_requests_namespace_stands_in_for_one_that_the_object_lacks() -> None:
    consumer = server({"sessionStorageRef": "store"}, namespace=None)
    assert patched(consumer)["spec"] == INJECTED["spec"]


def test_other_kinds_are_refused_rather_than_half_connected() -> None:
    kinds = '"MCPServer", "MCPRemoteProxy", "VirtualMCPServer", "MCPExternalAuthConfig"'
    assert decide({**REFERRING, "kind": "Pod"}) == Deny((f"kind: Unsupported value: supported values: {kinds}",))


def test_the_injection_record_holds_what_its_removal_needs_and_no_secret() -> None:
    record = json.loads(INJECTED["metadata"]["annotations"][ANNOTATION_INJECTION])
    assert record.keys() == {"by", "for", "granted", "made", "put", "storage"}
    assert (record["by"], record["storage"]) == ("field", "ns/store")
