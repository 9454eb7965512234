"""A backup of the cluster, and what a deleted storage left behind, serve again with consent, and never without it."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import valkey

from shared import names
from shared.objects.resources import SESSION_STORAGES, STATEFUL_SETS, VOLUME_CLAIMS, Object
from tests.integration.control_plane import Kubectl
from tests.integration.processes import eventually
from tests.integration.storages import (
    CHILD_KINDS,
    await_ready,
    await_reason,
    children,
    expected_children,
    primary,
    read,
    secret_value,
    storage,
)

pytestmark = pytest.mark.usefixtures("processes", "kubelet")

ELSEWHERE = "192.0.2.1"
"""An address of the cluster that the backup was taken from."""
MINE = f"{names.LABEL_STORAGE}=mine"


def uid(kubectl: Kubectl, kind: str, name: str, namespace: str) -> str:
    found: str = read(kubectl, kind, name, namespace)["metadata"]["uid"]
    return found


def consent(kubectl: Kubectl, namespace: str) -> str:
    """Wait for the request of a consent, run the command that it prints, and return what it said."""
    message: str = await_reason(kubectl, namespace, "mine", "AdoptionNeeded")["message"]
    (command,) = re.findall("`kubectl (.*)`", message)
    kubectl(*shlex.split(command))
    return message


def connect(kubectl: Kubectl, namespace: str, index: int = 0) -> valkey.Valkey:
    pod = read(kubectl, "pod", names.valkey_pod("mine", index), namespace)
    password = secret_value(kubectl, namespace, "mine-connection", names.KEY_REDIS_PASSWORD)
    return valkey.Valkey(host=pod["status"]["podIP"], password=password)


def ours(kubectl: Kubectl, namespace: str) -> list[Object]:
    """List everything that a storage has, but for what Kubernetes' own controllers make for it."""
    found = [obj for kind in (*CHILD_KINDS, VOLUME_CLAIMS) for obj in kubectl.api.list(kind, namespace, MINE)]
    return [obj for obj in found if owner_kind(obj) == "SessionStorage"]


def owner_kind(obj: Object) -> str:
    return next((owner["kind"] for owner in obj["metadata"].get("ownerReferences", [])), "")


def is_owned_by(kubectl: Kubectl, namespace: str, owner: str) -> bool:
    found = [obj for kind in (*CHILD_KINDS, VOLUME_CLAIMS) for obj in kubectl.api.list(kind, namespace, MINE)]
    named = [obj for obj in found if owner_kind(obj) != "Service"]
    return all([each["uid"] for each in obj["metadata"].get("ownerReferences", [])] == [owner] for obj in named)


def template_owner(kubectl: Kubectl, namespace: str, index: int) -> Any:
    (template,) = read(kubectl, "statefulset", names.valkey_instance("mine", index), namespace)["spec"][
        "volumeClaimTemplates"
    ]
    return template["metadata"]["ownerReferences"][0]["uid"]


def as_backed_up(obj: Object) -> Object:
    """Return what Velero makes of an object: without owners, UID and status, a Service without its address."""
    metadata = {
        key: obj["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if key in obj["metadata"]
    }
    kept = {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
    if obj["kind"] == "Service" and obj["spec"].get("clusterIP") != "None":
        kept["spec"] = {key: value for key, value in obj["spec"].items() if not key.startswith("clusterIP")}
    if obj["kind"] == "EndpointSlice":
        kept["endpoints"] = [{"addresses": [ELSEWHERE], "conditions": {"ready": True}}]
    return {**kept, "metadata": metadata}


def test_a_restored_backup_serves_with_its_passwords_and_numbers_once_somebody_agrees(
    kubectl: Kubectl, namespace: str
) -> None:
    kubectl.api.apply(storage("mine", namespace, size="medium"))
    await_ready(kubectl, namespace, "mine")
    kubectl("annotate", "sessionstorage", "mine", "-n", namespace, f"{names.ANNOTATION_SWITCHOVER}=now")
    eventually(lambda: primary(kubectl, namespace) == 1, what="the primary has moved to instance 1")
    eventually(lambda: len(kubectl.api.list(STATEFUL_SETS, namespace, MINE)) == 1, what="instance 0 is gone")
    await_ready(kubectl, namespace, "mine")
    passwords = {name: read(kubectl, "secret", name, namespace)["data"] for name in ("mine-auth", "mine-connection")}
    backup = [as_backed_up(obj) for obj in ours(kubectl, namespace)]
    declared = read(kubectl, "sessionstorage", "mine", namespace)
    kubectl.api.delete(SESSION_STORAGES, namespace, "mine")
    eventually(lambda: not ours(kubectl, namespace), what="everything is gone")

    late = [obj for obj in backup if obj["kind"] == "StatefulSet"]  # Velero restores by the names of kinds
    kubectl.apply(*(obj for obj in backup if obj not in late))
    kubectl.apply(as_backed_up(declared))
    kubectl.apply(*late)
    said = await_reason(kubectl, namespace, "mine", "AdoptionNeeded")["message"]
    assert {"Secret mine-auth", "Secret mine-connection", "PersistentVolumeClaim data-mine-valkey-1-0"} <= set(
        re.split(", | left |: ", said)
    )
    eventually(
        lambda: not read(kubectl, "endpointslice", "mine-valkey", namespace)["endpoints"],
        what=f"clients are no longer sent to {ELSEWHERE}",
    )
    assert owner_kind(read(kubectl, "secret", "mine-auth", namespace)) == ""

    consent(kubectl, namespace)
    new = uid(kubectl, "sessionstorage", "mine", namespace)
    eventually(lambda: is_owned_by(kubectl, namespace, new), what="the storage owns everything")
    await_ready(kubectl, namespace, "mine")
    assert passwords == {name: read(kubectl, "secret", name, namespace)["data"] for name in passwords}
    assert primary(kubectl, namespace) == 1
    assert template_owner(kubectl, namespace, 1) == new
    assert [each["metadata"]["name"] for each in kubectl.api.list(STATEFUL_SETS, namespace, MINE)] == ["mine-valkey-1"]
    with connect(kubectl, namespace, 1) as client:
        assert client.set("thv:proxy:session:1", "x", ex=60)

    kubectl.api.delete(SESSION_STORAGES, namespace, "mine")
    eventually(lambda: not kubectl.api.list(VOLUME_CLAIMS, namespace, MINE), what="the disk is gone with the storage")


@pytest.mark.parametrize(("size", "instances"), [("medium", 1), ("large", 3)])
def test_a_storage_deleted_without_its_objects_goes_on_under_a_new_one_of_its_name(
    kubectl: Kubectl, namespace: str, size: str, instances: int
) -> None:
    kubectl.api.apply(storage("mine", namespace, size=size))
    await_ready(kubectl, namespace, "mine")
    with connect(kubectl, namespace) as client:
        client.set("thv:proxy:session:1", "x", ex=600)
    pods = [uid(kubectl, "pod", names.valkey_pod("mine", index), namespace) for index in range(instances)]
    claims = {claim["metadata"]["uid"] for claim in kubectl.api.list(VOLUME_CLAIMS, namespace, MINE)}
    old = uid(kubectl, "sessionstorage", "mine", namespace)
    kubectl("delete", "sessionstorage", "mine", "-n", namespace, "--cascade=orphan")
    kubectl.api.apply(storage("mine", namespace, size=size))
    consent(kubectl, namespace)
    await_ready(kubectl, namespace, "mine")
    new = uid(kubectl, "sessionstorage", "mine", namespace)
    assert new != old
    eventually(lambda: is_owned_by(kubectl, namespace, new), what="the new storage owns everything")
    assert children(kubectl, namespace, "mine") == expected_children("mine", instances)
    assert [template_owner(kubectl, namespace, index) for index in range(instances)] == [new] * instances
    assert claims == {claim["metadata"]["uid"] for claim in kubectl.api.list(VOLUME_CLAIMS, namespace, MINE)}
    assert pods == [uid(kubectl, "pod", names.valkey_pod("mine", index), namespace) for index in range(instances)]
    with connect(kubectl, namespace, primary(kubectl, namespace)) as client:
        assert client.get("thv:proxy:session:1") == b"x"


def left_claim(namespace: str, labels: Object) -> Object:
    metadata = {"name": "data-mine-valkey-0-0", "namespace": namespace, "labels": labels}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({}, "NameTaken"),
        ({names.LABEL_STORAGE: "mine", names.LABEL_MANAGED_BY: names.MANAGED_BY}, "AdoptionNeeded"),
    ],
    ids=["planted", "left"],
)
def test_a_new_storage_mounts_no_volume_that_was_there_before(
    kubectl: Kubectl, namespace: str, labels: Object, reason: str
) -> None:
    kubectl.apply(left_claim(namespace, labels))
    left = uid(kubectl, "persistentvolumeclaim", "data-mine-valkey-0-0", namespace)
    kubectl.api.apply(storage("mine", namespace, size="medium"))
    found = await_reason(kubectl, namespace, "mine", reason)
    assert "PersistentVolumeClaim data-mine-valkey-0-0" in found["message"]
    assert kubectl.api.list(STATEFUL_SETS, namespace, MINE) == []
    kubectl.api.delete(VOLUME_CLAIMS, namespace, "data-mine-valkey-0-0")
    await_ready(kubectl, namespace, "mine")
    assert uid(kubectl, "persistentvolumeclaim", "data-mine-valkey-0-0", namespace) != left
