from __future__ import annotations

import json
from typing import Any

import pytest

from shared.consumers import injection
from shared.consumers.reference import StorageReference, stated_reference
from shared.consumers.storage_connection import connection_to
from shared.consumers.stored_consumer import StoredConsumer
from shared.errors import InvalidSpec
from shared.names import ANNOTATION_INJECTION, ANNOTATION_STORAGE

STORE = StorageReference("ns", "store")
MANAGED = connection_to(STORE, None)


def server(ref: Any = None, annotation: Any = None, record: Any = None) -> Any:
    annotations = {ANNOTATION_STORAGE: annotation, ANNOTATION_INJECTION: record}
    return {
        "kind": "MCPServer",
        "metadata": {"name": "srv", "namespace": "ns", "annotations": {k: v for k, v in annotations.items() if v}},
        "spec": {"sessionStorageRef": ref},
    }


@pytest.mark.parametrize(
    ("consumer", "key"),
    [
        pytest.param(server("store"), ("ns", "store"), id="field, string"),
        pytest.param(server({"name": "store"}), ("ns", "store"), id="field, name"),
        pytest.param(server({"name": "store", "namespace": None}), ("ns", "store"), id="field, null namespace"),
        pytest.param(server({"name": "store", "namespace": "far"}), ("far", "store"), id="field, both"),
        pytest.param(server(annotation="store"), ("ns", "store"), id="annotation, name"),
        pytest.param(server(annotation="far/store"), ("far", "store"), id="annotation, both"),
        pytest.param(server("store", "ns/store"), ("ns", "store"), id="both ways, the same"),
        pytest.param(server("x" * 40), ("ns", "x" * 40), id="longest name"),
    ],
)
def test_a_reference_is_parsed(consumer: Any, key: Any) -> None:
    reference = stated_reference(consumer)
    assert reference is not None
    assert reference.key == key
    assert reference.is_by_field == (consumer["spec"]["sessionStorageRef"] is not None)


@pytest.mark.parametrize("consumer", [server(), {}, {"spec": None, "metadata": None}, {"spec": "x", "metadata": []}])
def test_no_reference_is_none(consumer: Any) -> None:
    assert stated_reference(consumer) is None


@pytest.mark.parametrize(
    ("consumer", "problem"),
    [
        pytest.param(server(""), "spec.sessionStorageRef: Invalid value", id="empty"),
        pytest.param(server("far/store"), "spec.sessionStorageRef: Invalid value", id="slash in the field"),
        pytest.param(server("Store"), "spec.sessionStorageRef: Invalid value", id="upper case"),
        pytest.param(server("store\n"), "spec.sessionStorageRef: Invalid value", id="line break"),
        pytest.param(server("x" * 300), "spec.sessionStorageRef: Invalid value", id="300 characters"),
        pytest.param(server("störe"), "spec.sessionStorageRef: Invalid value", id="unicode"),
        pytest.param(server(["store"]), "spec.sessionStorageRef: Invalid value", id="array"),
        pytest.param(server(5), "spec.sessionStorageRef: Invalid value", id="number"),
        pytest.param(server({}), "spec.sessionStorageRef.name: Required value", id="no name"),
        pytest.param(server({"name": 5}), "spec.sessionStorageRef: Invalid value", id="name is a number"),
        pytest.param(
            server({"name": "a", "namespace": {}}), "spec.sessionStorageRef: Invalid value", id="object in it"
        ),
        pytest.param(server({"name": "a", "nameSpace": "b"}), "spec.sessionStorageRef: Invalid value", id="typo"),
        pytest.param(server({"name": "a", "namespace": "B"}), "spec.sessionStorageRef: Invalid value", id="namespace"),
        pytest.param(server(annotation="a/b/c"), f"metadata.annotations[{ANNOTATION_STORAGE}]", id="two slashes"),
        pytest.param(server(annotation="/a"), f"metadata.annotations[{ANNOTATION_STORAGE}]", id="no namespace there"),
        pytest.param(server(annotation="ns/"), f"metadata.annotations[{ANNOTATION_STORAGE}]", id="no name there"),
        pytest.param(server(annotation=["x"]), f"metadata.annotations[{ANNOTATION_STORAGE}]", id="array there"),
        pytest.param(server("a", "b"), f"metadata.annotations[{ANNOTATION_STORAGE}]", id="two storages"),
    ],
)
def test_a_bad_reference_is_a_field_error(consumer: Any, problem: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        stated_reference(consumer)
    (only,) = caught.value.problems
    assert only.startswith(problem)
    assert len(only) < 400


def test_of_many_unknown_fields_only_some_are_named() -> None:
    with pytest.raises(InvalidSpec) as caught:
        stated_reference(server({"name": "a", **{f"k{number:05}": 1 for number in range(100_000)}}))
    assert caught.value.problems[0] == 'spec.sessionStorageRef: Invalid value: unknown field "k00000"'
    assert caught.value.problems[-1] == "spec.sessionStorageRef: Invalid value: 99995 more unknown fields"
    assert len(caught.value.problems) == 6


def test_both_references_may_be_bad_at_once() -> None:
    with pytest.raises(InvalidSpec) as caught:
        stated_reference(server("A", "B"))
    assert len(caught.value.problems) == 2


def test_while_the_crd_lacks_the_field_the_injection_record_keeps_the_reference() -> None:
    injected = injection.inject(server("store"), STORE, MANAGED).consumer
    injected["spec"].pop("sessionStorageRef")
    assert stated_reference(injected) is None
    assert StoredConsumer.of(injected).reference == STORE


def test_the_injection_record_does_not_stand_in_for_a_reference_by_annotation() -> None:
    injected = injection.inject(
        server(annotation="store"), StorageReference("ns", "store", is_by_field=False), MANAGED
    ).consumer
    injected["metadata"]["annotations"].pop(ANNOTATION_STORAGE)
    assert StoredConsumer.of(injected).reference is None


@pytest.mark.parametrize(
    "record",
    [
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="array"),
        pytest.param("5", id="number"),
        pytest.param('{"by":"field","storage":"ns/store","put":[],"made":[]}', id="put is an array"),
        pytest.param('{"by":"field","storage":"ns/store","put":{},"made":[5]}', id="made holds numbers"),
        pytest.param('{"by":"field","storage":"NS","put":{},"made":[]}', id="no reference"),
        pytest.param('{"by":"field","storage":"ns/store","put":{"/metadata/name":"srv"},"made":[]}', id="metadata"),
        pytest.param(
            json.dumps({"by": "field", "storage": "ns/s", "put": {f"/spec/{i}": i for i in range(40)}, "made": []}),
            id="a list that is too long",
        ),
    ],
)
def test_an_injection_record_that_the_webhook_cannot_have_written_is_ignored(record: str) -> None:
    assert injection.remove(server("store", record=record)) == {
        "kind": "MCPServer",
        "metadata": {"name": "srv", "namespace": "ns"},
        "spec": {"sessionStorageRef": "store"},
    }


def test_removal_keeps_what_others_have_changed_since() -> None:
    injected = injection.inject(server("store"), STORE, MANAGED).consumer
    injected["spec"]["podTemplateSpec"]["metadata"]["labels"]["more"] = "x"
    injected["spec"]["resourceOverrides"]["proxyDeployment"]["podTemplateMetadataOverrides"]["labels"] = {"other": "y"}
    spec = injection.remove(injected)["spec"]
    assert spec["podTemplateSpec"] == {"metadata": {"labels": {"more": "x"}}}
    assert spec["resourceOverrides"]["proxyDeployment"] == {"podTemplateMetadataOverrides": {"labels": {"other": "y"}}}


def test_removal_leaves_no_session_storage_without_a_provider() -> None:
    injected = injection.inject(server("store"), STORE, MANAGED).consumer
    injected["spec"]["sessionStorage"]["tls"] = {}
    with pytest.raises(InvalidSpec, match=r"spec\.sessionStorage\.tls: .* needs nothing here"):
        injection.inject(injected, STORE, MANAGED)
    assert "sessionStorage" not in injection.remove(injected)["spec"]


def test_the_connection_secret_is_the_last_source_of_the_environment() -> None:
    injected = injection.inject(server("store"), STORE, MANAGED).consumer
    (container,) = injected["spec"]["podTemplateSpec"]["spec"]["containers"]
    container["envFrom"].append({"configMapRef": {"name": "later"}})
    (container,) = injection.inject(injected, STORE, MANAGED).consumer["spec"]["podTemplateSpec"]["spec"]["containers"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "later"}},
        {"secretRef": {"name": "store-connection"}},
    ]
