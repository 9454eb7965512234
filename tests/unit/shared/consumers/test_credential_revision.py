"""Credential revisions: the reconciler's annotation of a consumer, and its copies in the pod templates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared import names
from shared.consumers import injection
from shared.consumers.credential_revision import CredentialRevision
from shared.consumers.injection import InjectionContext
from shared.consumers.reference import StorageReference
from shared.consumers.storage_connection import connection_to
from shared.consumers.targets import Target
from shared.objects.field_path import read
from shared.objects.resources import Object

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
REFERENCE = StorageReference("team", "store")
PROXY = ("spec", "resourceOverrides", "proxyDeployment", "podTemplateMetadataOverrides", "annotations")
TEMPLATE = ("spec", "podTemplateSpec", "metadata", "annotations")


def consumer(kind: str = "MCPServer", stamp: Any = "r1@2026-11-23T12:00:00Z", **spec: Any) -> Object:
    annotations = {} if stamp is None else {names.ANNOTATION_REVISION: stamp}
    return {"kind": kind, "metadata": {"name": "c", "namespace": "team", "annotations": annotations}, "spec": spec}


def injected(obj: Object, target: Target = Target.ALL) -> Object:
    return injection.inject(obj, REFERENCE, connection_to(REFERENCE, None), InjectionContext(target)).consumer


def revision(obj: Object, path: tuple[str, ...]) -> Any:
    return read(obj, (*path, names.ANNOTATION_REVISION))


def test_a_revision_reads_as_it_was_written() -> None:
    stamp = CredentialRevision("r1", AT)
    assert stamp.text == "r1@2026-11-23T12:00:00Z"
    assert CredentialRevision.of(consumer(stamp=stamp.text)) == stamp


@pytest.mark.parametrize("text", [None, "", "r1", "r1@", "r1@yesterday", 7, ["r1@2026-11-23T12:00:00Z"]])
def test_any_other_value_of_the_annotation_is_no_revision(text: Any) -> None:
    assert CredentialRevision.of(consumer(stamp=text)) is None


@pytest.mark.parametrize("revision", ["", 'r"1', "r\\1", "r 1", "r" * 64])
def test_a_revision_that_would_break_the_injection_record_is_none(revision: str) -> None:
    assert CredentialRevision.of(consumer(stamp=f"{revision}@2026-11-23T12:00:00Z")) is None


@pytest.mark.parametrize(
    ("kind", "target", "places"),
    [
        ("MCPServer", Target.ALL, {PROXY, TEMPLATE}),
        ("MCPServer", Target.PROXY, {PROXY}),
        ("MCPServer", Target.BACKEND, {TEMPLATE}),
        ("MCPServer", Target.NONE, set()),
        ("MCPRemoteProxy", Target.ALL, {PROXY}),
        ("VirtualMCPServer", Target.ALL, {TEMPLATE}),
    ],
)
def test_the_revision_is_copied_to_the_templates_of_the_targeted_pods(
    kind: str, target: Target, places: set[object]
) -> None:
    made = injected(consumer(kind), target)
    assert {path for path in (PROXY, TEMPLATE) if revision(made, path) == "r1"} == places


def test_templates_get_the_revision_without_its_time_so_that_a_later_time_rolls_no_pod() -> None:
    later = consumer(stamp="r1@2026-11-24T00:00:00Z")
    assert injected(later)["spec"] == injected(consumer())["spec"]


def test_templates_of_a_consumer_without_a_revision_have_none() -> None:
    made = injected(consumer(stamp=None))
    assert revision(made, PROXY) is None
    assert revision(made, TEMPLATE) is None


def test_another_revision_replaces_the_one_before() -> None:
    once = injected(consumer())
    annotations = {**once["metadata"]["annotations"], names.ANNOTATION_REVISION: "r2@2026-11-24T00:00:00Z"}
    again = injected({**once, "metadata": {**once["metadata"], "annotations": annotations}})
    assert revision(again, PROXY) == revision(again, TEMPLATE) == "r2"
    assert injected(again) == again


def test_a_revision_in_a_copied_template_is_overwritten() -> None:
    copied = consumer(podTemplateSpec={"metadata": {"annotations": {names.ANNOTATION_REVISION: "of-another"}}})
    assert revision(injected(copied), TEMPLATE) == "r1"


def test_removing_the_injection_removes_the_revision() -> None:
    assert injection.remove(injected(consumer(image="x"))) == {
        "kind": "MCPServer",
        "metadata": {"name": "c", "namespace": "team"},
        "spec": {"image": "x"},
    }
