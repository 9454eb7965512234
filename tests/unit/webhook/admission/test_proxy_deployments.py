"""Injection into proxies' Deployments, as ToolHive writes them."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonpatch
import pytest

from shared.consumers import injection
from shared.consumers.identity import Consumer
from shared.consumers.reference import StorageReference
from shared.consumers.storage_connection import connection_to
from shared.consumers.targets import Target
from shared.names import ANNOTATION_INJECTION
from webhook.admission import proxy_deployments
from webhook.admission.review import AdmissionRequest, Allow, Patch

REFERENCE = StorageReference("team", "mine")
SERVER: Any = {"kind": "MCPServer", "metadata": {"name": "srv", "namespace": "team"}, "spec": {}}
INJECTED = injection.inject(SERVER, REFERENCE, connection_to(REFERENCE, None)).consumer
SOURCE = {"secretRef": {"name": "mine-connection"}}


def deployment(*sources: Any, annotations: Any = None, **container: Any) -> Any:
    owner = {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": "MCPServer", "name": "srv", "controller": True}
    metadata: Any = {"name": "srv", "namespace": "team", "ownerReferences": [owner]}
    if annotations is not None:
        metadata["annotations"] = annotations
    first = {"name": "toolhive", "env": [{"name": "A", "value": "b"}], **container}
    if sources:
        first["envFrom"] = list(sources)
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": [first, {"name": "sidecar"}]}}}}


def decided(obj: Any, consumer: Any = INJECTED) -> Any:
    request = AdmissionRequest("1", "UPDATE", "team", "", obj, None)
    decision = proxy_deployments.decide(request, {Consumer("MCPServer", "team", "srv"): consumer}.get)
    if isinstance(decision, Allow):
        return obj
    assert isinstance(decision, Patch)
    return jsonpatch.apply_patch(obj, json.dumps(decision.operations))


def test_the_proxy_of_a_connected_consumer_reads_its_secret() -> None:
    assert decided(deployment()) == deployment(SOURCE, annotations={ANNOTATION_INJECTION: "mine-connection"})


def test_a_second_decision_changes_nothing() -> None:
    once = decided(deployment())
    assert decided(once) is once


def test_a_template_that_toolhive_rewrites_gets_the_secret_again() -> None:
    annotations = {ANNOTATION_INJECTION: "mine-connection"}
    assert decided(deployment(annotations=annotations)) == deployment(SOURCE, annotations=annotations)


def test_disconnecting_a_consumer_removes_exactly_the_injected_secret() -> None:
    other = {"configMapRef": {"name": "theirs"}}
    injected = decided(deployment(other, annotations={"more": "x"}))
    assert decided(injected, SERVER) == deployment(other, annotations={"more": "x"})


def test_a_consumer_that_moves_to_another_storage_gets_its_secret() -> None:
    elsewhere = StorageReference("far", "store")
    moved = injection.inject(SERVER, elsewhere, connection_to(elsewhere, None)).consumer
    expected = deployment(
        {"secretRef": {"name": "far.store-connection"}}, annotations={ANNOTATION_INJECTION: "far.store-connection"}
    )
    assert decided(decided(deployment()), moved) == expected


def test_a_secret_that_toolhives_operator_put_there_stays() -> None:
    present = deployment(SOURCE)
    assert decided(present) is present
    assert decided(present, SERVER) is present


@pytest.mark.parametrize("target", [Target.BACKEND, Target.NONE])
def test_a_proxy_that_the_targets_exclude_is_left_alone(target: Target) -> None:
    context = injection.InjectionContext(target)
    consumer = injection.inject(SERVER, REFERENCE, connection_to(REFERENCE, None), context).consumer
    present = deployment()
    assert decided(present, consumer) is present


def test_an_unknown_owner_changes_nothing() -> None:
    injected = decided(deployment())
    assert decided(injected, None) is injected
    stray = copy.deepcopy(deployment())
    stray["metadata"]["ownerReferences"][0]["kind"] = "Other"
    assert decided(stray) is stray


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param({"spec": None}, id="no spec"),
        pytest.param({"spec": {"template": {"spec": {"containers": "x"}}}}, id="containers are text"),
        pytest.param({"spec": {"template": {"spec": {"containers": []}}}}, id="no containers"),
        pytest.param({"spec": {"template": {"spec": {"containers": [None]}}}}, id="a container is null"),
        pytest.param({"spec": {"template": {"spec": {"containers": [{"name": 5}]}}}}, id="a name is a number"),
        pytest.param(
            {"spec": {"template": {"spec": {"containers": [{"name": "a", "envFrom": "x"}]}}}}, id="sources are text"
        ),
    ],
)
def test_a_malformed_deployment_is_neither_changed_nor_refused(spoilt: Any) -> None:
    obj = deployment() | spoilt
    assert decided(obj) is obj


@pytest.mark.parametrize("kind", [[], {}, None, 7, "Pod"])
def test_an_owner_of_another_kind_is_no_consumer(kind: Any) -> None:
    obj = deployment()
    obj["metadata"]["ownerReferences"][0]["kind"] = kind
    assert decided(obj) == obj
