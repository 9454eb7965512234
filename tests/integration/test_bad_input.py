"""Bad input gets a clear message and harms neither process: at the end both are the same processes, and ready."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.objects.resources import SESSION_STORAGES, Object
from tests.integration.control_plane import Kubectl
from tests.integration.mcpservers import ANNOTATION, await_injection, injected_fields, server, stored
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_reason, storage

PASSWORD = "hunter2hunter2"
LONG = "x" * 300
MIB = 2**20
LARGEST_ERROR = 2000
"""Characters that a person still reads; kubectl's own words around our message are some 200 of them."""
WATCHED_SECONDS = 5.0
LOOKS_PER_STORAGE = WATCHED_SECONDS / 5
"""Passes that storages need: one a minute while waiting for a person, one in five seconds while a name is taken."""
STRAY_LOOKS = 3
"""Passes that are allowed besides; a hot loop of one storage alone makes 25."""

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.fixture(scope="module")
def unharmed(processes: dict[str, Process], kubectl: Kubectl) -> Iterator[None]:
    """Assert that both processes are the same ones, and ready, after all tests of this module."""
    await_injection(kubectl)
    before = {name: (process.pid, len(process.log.read_text())) for name, process in processes.items()}
    yield
    for name, process in processes.items():
        pid, length = before[name]
        assert process.pid == pid
        assert process.read("/readyz") == "ok\n"
        assert "traceback" not in process.log.read_text()[length:].lower()


def refused(kubectl: Kubectl, obj: Object) -> str:
    """Create an object that the API server refuses; kubectl's own validation is off, as it would refuse first."""
    said = kubectl.fails("create", "--validate=ignore", "-f", "-", stdin=json.dumps(obj))
    assert len(said) < LARGEST_ERROR
    return said


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(None, "spec: Required value", id="no spec"),
        pytest.param([], "spec: Invalid value: must be an object", id="spec is an array"),
        pytest.param("small", "spec: Invalid value: must be an object", id="spec is a string"),
        pytest.param(
            {"size": "huge"},
            'spec.size: Unsupported value: "huge": supported values: "small", "medium", "large"',
            id="unknown size",
        ),
        pytest.param({"size": "Small"}, 'spec.size: Unsupported value: "Small"', id="capital letter"),
        pytest.param({"size": "größe"}, 'spec.size: Unsupported value: "größe"', id="unicode"),
        pytest.param({"size": ""}, 'spec.size: Unsupported value: ""', id="empty"),
        pytest.param({"size": 5}, "spec.size: Unsupported value: 5", id="size is a number"),
        pytest.param({"size": ["small"]}, "spec.size: Invalid value: must be a string", id="size is an array"),
        pytest.param({"size": "x" * 2 * MIB}, 'spec.size: Unsupported value: "xxx', id="size of 2 MiB"),
        pytest.param({"external": {}}, "spec.external: Required value: url, or", id="no url"),
        pytest.param({"external": "redis://there"}, "spec.external: Invalid value: must be an object", id="a string"),
        pytest.param({"external": {"url": 6379}}, "spec.external.url: Invalid value: must be a string", id="a number"),
        pytest.param({"external": {"url": ""}}, "spec.external.url: Unsupported value: must start with", id="no text"),
        pytest.param({"external": {"url": "http://a"}}, "must start with redis://, rediss://", id="another scheme"),
        pytest.param({"external": {"url": "redis://a:99999"}}, "a port between 1 and 65535", id="no such port"),
        pytest.param({"external": {"url": "redis://" + "x" * 2 * MIB}}, "spec.external.url: Too long", id="2 MiB"),
        pytest.param({"external": {"url": "redis://ünï"}}, "spec.external.url: Invalid value", id="unicode in url"),
        pytest.param(
            {"external": {"url": "redis://a", "secretRef": "Not A Name"}},
            'spec.external.secretRef: Invalid value: "Not A Name": must consist of lower-case letters',
            id="no Secret's name",
        ),
        pytest.param(
            {"external": {"url": "redis://a", "secretRef": LONG}}, "spec.external.secretRef: Too long", id="long name"
        ),
    ],
)
def test_a_bad_spec_gets_an_error_for_its_field(kubectl: Kubectl, spec: Any, said: str) -> None:
    assert said in refused(kubectl, {**storage("mine", "default"), "spec": spec})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param(LONG, "metadata.name: Too long: may not be more than 40 bytes", id="300 characters"),
        pytest.param("x" * 41, "metadata.name: Too long: may not be more than 40 bytes", id="41 characters"),
        pytest.param("störe", 'metadata.name: Invalid value: "störe"', id="unicode"),
        pytest.param("存储", 'metadata.name: Invalid value: "存储"', id="no Latin letter"),
        pytest.param("with.dot", 'metadata.name: Invalid value: "with.dot"', id="dot"),
    ],
)
def test_a_bad_name_is_explained(kubectl: Kubectl, name: str, said: str) -> None:
    assert said in refused(kubectl, storage(name, "default", size="small"))


def test_one_answer_names_all_problems(kubectl: Kubectl) -> None:
    external = {"url": f"http://user:{PASSWORD}@there?db=1", "secretRef": "No Name"}
    said = refused(kubectl, storage(LONG, "default", size="huge", external=external))
    for problem in (
        "metadata.name: Too long",
        "spec.size: Unsupported value",
        "spec.external.url: Unsupported value: must start with",
        "spec.external.url: Forbidden: must not hold a user name or password",
        "spec.external.url: Forbidden: must not have a query or fragment",
        "spec.external.secretRef: Invalid value",
    ):
        assert said.count(problem) == 1
    assert PASSWORD not in said


def test_an_unknown_field_is_refused_as_kubectl_does_by_default(kubectl: Kubectl) -> None:
    bad = json.dumps(storage("mine", "default", size="small", replicas=3))
    assert 'unknown field "spec.replicas"' in kubectl.fails("create", "-f", "-", stdin=bad)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        pytest.param(5, "spec.sessionStorageRef: Invalid value: must be a name, or an object", id="number"),
        pytest.param(["mine"], "spec.sessionStorageRef: Invalid value: must be a name, or an object", id="array"),
        pytest.param({}, "spec.sessionStorageRef.name: Required value", id="no name"),
        pytest.param({"namespace": "there"}, "spec.sessionStorageRef.name: Required value", id="namespace alone"),
        pytest.param({"name": 5}, "spec.sessionStorageRef: Invalid value: name and namespace must be", id="types"),
        pytest.param(
            {"name": "a", "kind": "X"}, 'spec.sessionStorageRef: Invalid value: unknown field "kind"', id="key"
        ),
        pytest.param("", 'spec.sessionStorageRef: Invalid value: "": a SessionStorage\'s name', id="empty"),
        pytest.param("störe", 'spec.sessionStorageRef: Invalid value: "störe"', id="unicode"),
        pytest.param("../mine", 'spec.sessionStorageRef: Invalid value: "../mine"', id="path"),
        pytest.param(LONG, 'spec.sessionStorageRef: Invalid value: "xxx', id="300 characters"),
        pytest.param("x" * 2 * MIB, 'spec.sessionStorageRef: Invalid value: "xxx', id="2 MiB"),
        pytest.param(
            {"name": "a", "namespace": "N/A"}, 'Invalid value: "N/A": not the name of a namespace', id="namespace"
        ),
        pytest.param(
            {"name": "a", **{f"k{number}": 1 for number in range(10_000)}}, "9995 more unknown fields", id="10,000 keys"
        ),
    ],
)
def test_a_bad_reference_gets_an_error_for_its_field(kubectl: Kubectl, reference: Any, said: str) -> None:
    assert said in refused(kubectl, server("default", sessionStorageRef=reference))


@pytest.mark.parametrize("value", ["a/b/c", "", "/mine", "störe", LONG])
def test_a_bad_annotation_gets_an_error_for_it(kubectl: Kubectl, value: str) -> None:
    said = refused(kubectl, server("default", annotations={ANNOTATION: value}))
    assert f"metadata.annotations[{ANNOTATION}]: Invalid value" in said


@pytest.mark.parametrize(
    ("template", "said"),
    [
        pytest.param({"spec": []}, "spec.podTemplateSpec.spec: Invalid value: must be an object", id="spec"),
        pytest.param({"spec": {"containers": {}}}, "spec.containers: Invalid value: must be an array", id="containers"),
        pytest.param(
            {"spec": {"containers": [{"name": "mcp", "envFrom": "x"}]}},
            "spec.podTemplateSpec.spec.containers[mcp].envFrom: Invalid value: must be an array",
            id="envFrom",
        ),
        pytest.param({"metadata": {"labels": [1]}}, "metadata.labels: Invalid value: must be an object", id="labels"),
    ],
)
def test_a_pod_template_of_another_shape_gets_an_error_for_its_field(
    kubectl: Kubectl, template: Any, said: str
) -> None:
    assert said in refused(kubectl, server("default", sessionStorageRef="mine", podTemplateSpec=template))


def test_a_storage_without_size_or_external_is_medium(kubectl: Kubectl) -> None:
    for spec in ({}, {"size": None}):
        out = kubectl(
            "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(storage("mine", "default", **spec))
        )
        assert json.loads(out)["spec"] == {"size": "medium"}


def test_a_server_of_a_megabyte_is_connected_and_changed(kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    manifest = tmp_path / "server.json"
    for image in ("mcp:1", "mcp:2"):
        padding = {f"a{number}": image + "x" * 1000 for number in range(1000)}
        template = {"metadata": {"annotations": padding}}
        obj = server(namespace, image=image, sessionStorageRef="mine", podTemplateSpec=template)
        manifest.write_text(json.dumps(obj))
        kubectl("apply", "--server-side", "-f", str(manifest))
        found = stored(kubectl, namespace)["spec"]
        connected = injected_fields("mine", namespace)
        assert found["image"] == image
        assert found["sessionStorage"] == connected["sessionStorage"]
        assert found["podTemplateSpec"]["spec"] == connected["podTemplateSpec"]["spec"]


@pytest.mark.parametrize(
    ("size", "said"),
    [
        pytest.param(7 * MIB // 4, "etcdserver: request is too large", id="1.75 MiB, too large for etcd"),
        pytest.param(2 * MIB, "larger than max", id="2 MiB, too large for the client of etcd"),
        pytest.param(4 * MIB, "limit is 3145728", id="4 MiB, too large for the API server"),
    ],
)
def test_larger_objects_are_refused_by_kubernetes_itself(kubectl: Kubectl, size: int, said: str) -> None:
    template = {"metadata": {"annotations": {"a": "x" * size}}}
    assert said in refused(kubectl, server("default", sessionStorageRef="mine", podTemplateSpec=template))


def test_a_storage_of_two_megabytes_is_refused_by_kubernetes_itself(kubectl: Kubectl) -> None:
    large = storage("mine", "default", size="small")
    large["metadata"]["annotations"] = {"a": "x" * 2 * MIB}
    assert "metadata.annotations: Too long: may not be more than 262144 bytes" in refused(kubectl, large)


def test_a_problem_that_only_the_reconciler_can_find_is_a_condition_and_makes_no_hot_loop(
    kubectl: Kubectl, namespace: str, processes: dict[str, Process]
) -> None:
    reconciler = processes["reconciler"]
    kubectl("create", "secret", "generic", "keyless", "-n", namespace, f"--from-literal=passwort={PASSWORD}")
    kubectl("create", "secret", "generic", "taken-auth", "-n", namespace, "--from-literal=password=theirs")
    url = "redis://there:6379"
    kubectl.apply(
        storage("absent", namespace, external={"url": url, "secretRef": "absent"}),
        storage("keyless", namespace, external={"url": url, "secretRef": "keyless"}),
        storage("taken", namespace, size="small"),
    )
    found = await_reason(kubectl, namespace, "absent", "SecretNotFound")
    assert found["message"].startswith(
        "Secret absent does not exist: create it in this namespace with the key password"
    )
    found = await_reason(kubectl, namespace, "keyless", "SecretKeyMissing")
    assert found["message"].startswith("Secret keyless has no readable key password: add it")
    found = await_reason(kubectl, namespace, "taken", "NameTaken")
    assert found["message"].startswith("Secret taken-auth in this namespace does not belong to this storage")
    assert PASSWORD not in reconciler.log.read_text()
    length = len(reconciler.log.read_text())
    # Passes that other tests have caused come to an end; a hot loop never does.
    eventually(lambda: looks(reconciler) <= cold(kubectl), what="a stretch of time without hot retries")
    assert f"{namespace}/" not in reconciler.log.read_text()[length:]


def looks(reconciler: Process) -> float:
    """Count the passes over any storage in a stretch of time."""
    before = passes(reconciler)
    time.sleep(WATCHED_SECONDS)  # the thing measured
    return passes(reconciler) - before


def cold(kubectl: Kubectl) -> float:
    """Return how many passes the existing storages may take in that time."""
    return len(kubectl.api.list(SESSION_STORAGES)) * LOOKS_PER_STORAGE + STRAY_LOOKS


def passes(reconciler: Process) -> float:
    found = re.findall(r"^session_storage_reconciles_total\{.*\} (\S+)$", reconciler.read("/metrics"), re.MULTILINE)
    assert found
    return sum(map(float, found))
