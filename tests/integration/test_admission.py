"""What a real API server makes of the webhook's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import Kubectl, eventually
from tests.integration.storages import read, storage

if TYPE_CHECKING:
    from shared.resources import Object

SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"
EXTERNAL = {"url": "redis://there:6379", "secretRef": "auth"}
ANNOTATION = "toolhive.stacklok.dev/session-storage"


@pytest.fixture(autouse=True)
def _field_is_served(processes: dict[str, Any], kubectl: Kubectl) -> None:
    """Wait until the reconciler has both configured the webhook and extended ToolHive's CRD."""
    del processes
    described = {"kind": "MCPServer", "apiVersion": "toolhive.stacklok.dev/v1beta1", "metadata": {"name": "probe"}}
    probe = json.dumps({**described, "spec": {"image": "x", "sessionStorageRef": "probe"}})

    def wires() -> bool:
        out = kubectl("create", "--dry-run=server", "-o", "json", "-n", "default", "-f", "-", stdin=probe)
        return "sessionStorage" in json.loads(out)["spec"]

    eventually(wires, what="MCPServers are wired")


def server(namespace: str, version: str = "v1beta1", annotations: Any = None, **spec: Any) -> Object:
    return {
        "apiVersion": f"toolhive.stacklok.dev/{version}",
        "kind": "MCPServer",
        "metadata": {"name": "srv", "namespace": namespace, "annotations": annotations or {}},
        "spec": {"image": "mcp:latest", **spec},
    }


def wiring(kubectl: Kubectl, namespace: str) -> Any:
    spec = read(kubectl, "mcpserver", "srv", namespace)["spec"]
    template = spec.get("podTemplateSpec")
    if template is None:
        return None
    (container,) = template["spec"]["containers"]
    return container["envFrom"][-1]["secretRef"]["name"], spec["sessionStorage"]["passwordRef"]["name"]


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
@pytest.mark.parametrize("reference", ["mine", {"name": "mine"}])
def test_a_reference_is_wired_in_both_versions_and_shapes(
    kubectl: Kubectl, namespace: str, version: str, reference: Any
) -> None:
    kubectl.apply(server(namespace, version, sessionStorageRef=reference))
    assert wiring(kubectl, namespace) == ("mine-connection", "mine-connection")


def test_an_annotation_is_wired_and_unwired(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(server(namespace, annotations={ANNOTATION: "mine"}))
    assert wiring(kubectl, namespace) == ("mine-connection", "mine-connection")
    kubectl("annotate", "mcpserver", "srv", f"{ANNOTATION}-", "-n", namespace)
    assert read(kubectl, "mcpserver", "srv", namespace)["spec"] == {**server(namespace)["spec"], **defaults(kubectl)}


def defaults(kubectl: Kubectl) -> Object:
    """What ToolHive's schema puts into any MCPServer."""
    manifest = json.dumps(server("default"))
    out = kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=manifest)
    spec: Object = json.loads(out)["spec"]
    return spec


def test_the_same_manifest_again_changes_nothing(kubectl: Kubectl, namespace: str) -> None:
    manifest = json.dumps(server(namespace, sessionStorageRef="mine"))
    kubectl("apply", "-f", "-", stdin=manifest)
    before = read(kubectl, "mcpserver", "srv", namespace)["metadata"]
    kubectl("apply", "-f", "-", stdin=manifest)
    after = read(kubectl, "mcpserver", "srv", namespace)["metadata"]
    assert after["resourceVersion"] == before["resourceVersion"]


def test_taking_the_field_out_unwires_and_another_name_rewires(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(server(namespace, sessionStorageRef="mine")))
    kubectl("apply", "-f", "-", stdin=json.dumps(server(namespace, sessionStorageRef="other")))
    assert wiring(kubectl, namespace) == ("other-connection", "other-connection")
    kubectl("apply", "-f", "-", stdin=json.dumps(server(namespace)))
    assert wiring(kubectl, namespace) is None


def test_a_contradicting_session_storage_is_refused(kubectl: Kubectl, namespace: str) -> None:
    manifest = server(namespace, sessionStorageRef="mine", sessionStorage={"provider": "memory"})
    said = kubectl.fails("apply", "-f", "-", stdin=json.dumps(manifest))
    assert 'spec.sessionStorage.provider: Invalid value: SessionStorage "' in said


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_manifest_of_the_proposal_is_accepted(kubectl: Kubectl, path: Path) -> None:
    kubectl("apply", "--dry-run=server", "-f", str(path))


def test_all_problems_of_a_storage_are_said_at_once(kubectl: Kubectl, namespace: str) -> None:
    bad = storage("mine", namespace, size="huge", external={"url": "redis://:hunter2hunter2@there"})
    said = kubectl.fails("apply", "-f", "-", stdin=json.dumps(bad))
    assert 'spec.size: Unsupported value: "huge": supported values: "small", "medium", "large"' in said
    assert "spec.external.url: Forbidden: must not hold a user name or password" in said
    assert "hunter2hunter2" not in said


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        pytest.param({"spec": None}, "spec: Required value", id="no spec"),
        pytest.param({"spec": []}, "spec", id="spec is an array"),
        pytest.param({"spec": {"size": 5}}, "spec.size", id="size is a number"),
        pytest.param({"spec": {"external": {}}}, "spec.external.url: Required value", id="no url"),
        pytest.param({"name": "x" * 300}, "metadata.name", id="300 characters"),
        pytest.param({"name": "störe"}, "metadata.name", id="unicode"),
    ],
)
def test_bad_storages_get_a_field_error(kubectl: Kubectl, namespace: str, obj: Any, said: str) -> None:
    bad = storage(obj.get("name", "mine"), namespace)
    bad["spec"] = obj.get("spec", {"size": "small"})
    assert said in kubectl.fails("create", "--validate=ignore", "-f", "-", stdin=json.dumps(bad))


def test_a_storage_does_not_change_sides(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(storage("mine", namespace, external=EXTERNAL)))
    said = kubectl.fails("replace", "-f", "-", stdin=json.dumps(storage("mine", namespace, size="small")))
    assert "cannot change between managed and external" in said


def test_objects_of_two_megabytes_do_not_hurt(
    kubectl: Kubectl, namespace: str, tmp_path: Path, processes: dict[str, Any]
) -> None:
    large = tmp_path / "large.json"
    template = {"metadata": {"annotations": {f"a{number}": "x" * 1000 for number in range(1000)}}}
    large.write_text(json.dumps(server(namespace, sessionStorageRef="mine", podTemplateSpec=template)))
    kubectl("create", "-f", str(large))
    assert wiring(kubectl, namespace) == ("mine-connection", "mine-connection")
    template["metadata"]["annotations"] |= {f"b{number}": "x" * 1000 for number in range(2000)}
    large.write_text(json.dumps(server(namespace, sessionStorageRef="mine", podTemplateSpec=template)))
    assert "large" in kubectl.fails("replace", "-f", str(large))
    processes["webhook"].await_ready()
