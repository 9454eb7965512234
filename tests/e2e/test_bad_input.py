"""The cluster refuses bad objects with a reason, and neither process suffers."""

from __future__ import annotations

import json

import pytest

from deploy.demo import storages
from deploy.demo.installation import NAMESPACE, PODS
from deploy.demo.kube import Kube, Object
from tests.e2e.namespaces import STORAGES
from tests.e2e.storages import server, storage

EXTERNAL = {"url": "redis://my-redis.example.com:6379"}
MEBIBYTE = 1024 * 1024


def changed(obj: Object, **fields: object) -> Object:
    return {**obj, **fields}


BAD = [
    pytest.param(storage("bad", STORAGES, size="huge"), 'spec.size: Unsupported value: "huge"', id="unknown size"),
    pytest.param(changed(storage("bad", STORAGES), spec=None), "spec: Required value", id="no spec"),
    pytest.param(changed(storage("bad", STORAGES), spec=[]), "spec", id="spec is an array"),
    pytest.param(changed(storage("bad", STORAGES), spec="small"), "spec", id="spec is a string"),
    pytest.param(storage("bad", STORAGES, size=5), "spec.size", id="size is a number"),
    pytest.param(storage("bad", STORAGES, size=["small"]), "spec.size", id="size is an array"),
    pytest.param(storage("bad", STORAGES, external="redis://h"), "spec.external", id="external is a string"),
    pytest.param(storage("bad", STORAGES, external={}), "spec.external: Required value: url, or", id="no url"),
    pytest.param(storage("bad", STORAGES, external={"url": ""}), "spec.external.url", id="empty url"),
    pytest.param(storage("bad", STORAGES, external={"url": "http://h"}), "spec.external.url", id="another scheme"),
    pytest.param(
        storage("bad", STORAGES, external={"url": "redis://:x@h"}), "spec.external.url: Forbidden", id="password"
    ),
    pytest.param(storage("x" * 300, STORAGES, size="small"), "metadata.name", id="name of 300 characters"),
    pytest.param(storage("störe", STORAGES, size="small"), "metadata.name", id="name in unicode"),
    pytest.param(storage("4ever", STORAGES, size="small"), "metadata.name", id="name that no Service can have"),
    pytest.param(storage("bad", STORAGES, size="🙂" * 1000), "spec.size: Unsupported value", id="size in unicode"),
    pytest.param(storage("bad", STORAGES, size="x" * 2 * MEBIBYTE), "arge", id="2 MiB"),
    pytest.param(
        server("bad", STORAGES, "an-image:1", sessionStorageRef="X" * 300),
        "spec.sessionStorageRef",
        id="long reference",
    ),
    pytest.param(
        server("bad", STORAGES, "an-image:1", sessionStorageRef=[1]),
        "spec.sessionStorageRef",
        id="reference is an array",
    ),
    pytest.param(
        server("bad", STORAGES, "an-image:1", sessionStorageRef={"namespace": "x"}),
        "spec.sessionStorageRef.name: Required value",
        id="reference without a name",
    ),
]


@pytest.mark.parametrize(("bad", "said"), BAD)
def test_the_refusal_of_a_bad_object_names_the_field(kube: Kube, bad: Object, said: str) -> None:
    assert said in kube.refusal("create", "--validate=ignore", "-f", "-", stdin=json.dumps(bad))


def test_a_condition_names_the_key_that_a_secret_lacks(kube: Kube) -> None:
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "keyless", "namespace": STORAGES},
            "stringData": {"pass": "word"},
        },
        storage("keyless", STORAGES, external={**EXTERNAL, "secretRef": "keyless"}),
        storage("secretless", STORAGES, external={**EXTERNAL, "secretRef": "not-there"}),
    )
    found = storages.await_finding(kube, (STORAGES, "keyless"), "Ready", "SecretKeyMissing")
    assert (found["status"], "password" in found["message"]) == ("False", True)
    storages.await_finding(kube, (STORAGES, "secretless"), "Ready", "SecretNotFound")


def test_no_process_has_crashed(kube: Kube) -> None:
    pods = kube.items("pods", NAMESPACE, f"--selector={PODS}")
    restarts = {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}
    assert set(restarts.values()) == {0}, restarts
