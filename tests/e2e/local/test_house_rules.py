"""A policy of the cluster rewrites every StatefulSet: the storage comes to rest, is drained, and gets another image."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.demo import installation
from deploy.demo.kube import Kube, Object, until
from deploy.demo.storages import condition
from shared import names
from tests.chaos import nodes
from tests.chaos.faults.planned import SECOND_TAG
from tests.e2e.conftest import Run
from tests.e2e.namespaces import STORAGES
from tests.e2e.storages import await_ready, read, storage
from tests.support.audit import AuditLog

NAME: Final = "ruled"
POLICY: Final = "session-storage-e2e-house-rules"
WATCHED_SECONDS: Final = 30
"""Three passes over a healthy storage."""
MAX_WRITES: Final = 10
DRAIN_SECONDS: Final = 30
UPDATE_SECONDS: Final = 180
MIRRORED: Final = "-mirrored"
"""What the policy adds to the name of each image, as if it came from a mirror."""


def rules() -> list[Object]:
    """Build the policy: it changes image, pull policy and environment, and adds an init container."""
    pod, container = "/spec/template/spec", "object.spec.template.spec.containers[0]"
    image = f"({container}.image.endsWith('{MIRRORED}') ? {container}.image : {container}.image + '{MIRRORED}')"
    # CEL takes no map of values of several types, unless each is called dynamic.
    agent = {
        "name": "'agent'",
        "image": image,
        "command": "['true']",
        "securityContext": f"{container}.securityContext",
    }
    fields = ", ".join(f"'{key}': dyn({value})" for key, value in agent.items())
    added = f"[{{{fields}}}]"
    patches = {
        f"{pod}/containers/0/image": image,
        f"{pod}/containers/0/imagePullPolicy": "'Never'",
        f"{pod}/containers/0/env": "[{'name': 'TZ', 'value': 'UTC'}]",
        f"{pod}/initContainers": added,
    }
    operations = ", ".join(f'JSONPatch{{op: "add", path: "{path}", value: {value}}}' for path, value in patches.items())
    sets = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["statefulsets"],
    }
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": POLICY},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [sets],
                    "objectSelector": {"matchLabels": {names.LABEL_STORAGE: NAME}},
                },
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{operations}]"}}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": POLICY},
            "spec": {"policyName": POLICY},
        },
    ]


@pytest.fixture(name="ruled")
def ruled_fixture(run: Run) -> Iterator[Kube]:
    """Create a large storage under the policy, and remove both at the end."""
    for tag in ("", SECOND_TAG):
        if tag:
            nodes.tag_image(run.images.valkey, run.images.valkey + tag)
        nodes.tag_image(run.images.valkey, run.images.valkey + tag + MIRRORED)
    run.kube.apply(*rules())
    until("the policy is in force", lambda: is_in_force(run.kube), UPDATE_SECONDS)
    run.kube.apply(storage(NAME, STORAGES, size="large"))
    await_ready(run.kube, STORAGES, NAME)
    until("the storage is redundant", lambda: is_true(run.kube, "Redundant"), UPDATE_SECONDS)
    yield run.kube
    run.kube.run("delete", "sessionstorage", NAME, namespace=STORAGES)
    for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
        run.kube.run("delete", kind, POLICY, "--ignore-not-found")
    run.install()


def is_in_force(kube: Kube) -> bool:
    """Tell whether the API server has learnt of the policy: it would change this StatefulSet."""
    labels = {names.LABEL_STORAGE: NAME}
    pod = {"containers": [{"name": "valkey", "image": "valkey", "securityContext": {"runAsNonRoot": True}}]}
    spec = {
        "serviceName": NAME,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    metadata = {"name": "probe", "namespace": STORAGES, "labels": labels}
    probe = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}
    return MIRRORED in kube.run("create", "--dry-run=server", "--output=yaml", "-f", "-", stdin=json.dumps(probe))


def is_true(kube: Kube, kind: str) -> bool:
    return condition(read(kube, "sessionstorage", NAME, STORAGES), kind).get("status") == "True"


def images_of(kube: Kube) -> set[str]:
    pods = kube.items("pods", STORAGES, f"--selector={names.LABEL_STORAGE}={NAME}")
    return {pod["spec"]["containers"][0]["image"] for pod in pods}


def primary_of(kube: Kube) -> str:
    return str(read(kube, "sessionstorage", NAME, STORAGES)["status"]["primaryPod"])


def test_a_storage_under_house_rules_rests_is_drained_and_updated(
    run: Run, ruled: Kube, audit_log: AuditLog, figures: list[str]
) -> None:
    before = audit_log.position()
    time.sleep(WATCHED_SECONDS)  # what the test measures: writes in that time
    written = audit_log.since(before) + audit_log.provoked_since(before)
    told = condition(read(ruled, "sessionstorage", NAME, STORAGES), "ObjectsUnaltered")
    figures.append(f"under house rules: {dict(written)} in {WATCHED_SECONDS} s; {told.get('message')}")
    assert written.total() < MAX_WRITES
    assert (told["status"], told["reason"]) == ("False", "AddedTo")

    former = primary_of(ruled)
    node = read(ruled, "pod", former, STORAGES)["spec"]["nodeName"]
    begun = time.monotonic()
    with nodes.cordoned(ruled, node):
        mine = f"--pod-selector={names.LABEL_STORAGE}={NAME}"
        ruled.run("drain", node, mine, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={DRAIN_SECONDS}s")
    figures.append(f"under house rules: drained in {time.monotonic() - begun:.1f} s")
    assert primary_of(ruled) != former

    wanted = run.images.valkey + SECOND_TAG
    installation.install(ruled, dataclasses.replace(run.images, valkey=wanted), *run.values)
    until("all pods run the other image", lambda: images_of(ruled) == {wanted + MIRRORED}, UPDATE_SECONDS)
    await_ready(ruled, STORAGES, NAME)
