"""Storages that other namespaces use, and the deletion of storages, on a real API server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from shared.objects.resources import SECRETS, Object
from tests.integration.consumers import KINDS, await_injection_of_all, change, change_is_refused, consumer, found
from tests.integration.control_plane import Kubectl
from tests.integration.installation import CONSUMER_PLURALS
from tests.integration.mcpservers import ANNOTATION, RECORD, server, stored
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, await_reason, condition, read, storage

USE = "session-storage-use"
CONSUMERS = tuple(f"{plural}.toolhive.stacklok.dev" for plural in CONSUMER_PLURALS)


@pytest.fixture(autouse=True)
def _running(processes: dict[str, Process], kubelet: None, kubectl: Kubectl) -> None:
    await_injection_of_all(kubectl)


@pytest.fixture
def home(kubectl: Kubectl, namespace: str) -> str:
    """Create a namespace with a storage `mine` that is ready."""
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    return namespace


@pytest.fixture
def away(kubectl: Kubectl, namespace: str) -> str:
    """Create another namespace, in which user `ann` may do everything."""
    name = f"{namespace}-away"
    kubectl("create", "namespace", name)
    kubectl("create", "rolebinding", "ann", "--clusterrole=admin", "--user=ann", "-n", name)
    kubectl("create", "role", "servers", "--verb=*", "--resource=mcpservers.toolhive.stacklok.dev", "-n", name)
    kubectl("create", "rolebinding", "ann-servers", "--role=servers", "--user=ann", "-n", name)
    return name


def referring(away: str, home: str, **annotations: str) -> str:
    return json.dumps(server(away, annotations=annotations, sessionStorageRef={"name": "mine", "namespace": home}))


def mirror(kubectl: Kubectl, away: str, home: str) -> Object:
    return read(kubectl, "secret", f"{home}.mine-connection", away)


def has_mirror(kubectl: Kubectl, away: str, home: str) -> bool:
    return f"{home}.mine-connection" in {each["metadata"]["name"] for each in kubectl.api.list(SECRETS, away)}


def test_a_user_without_the_right_is_told_which_one_and_gets_nothing(kubectl: Kubectl, home: str, away: str) -> None:
    said = kubectl.fails("create", "--as=ann", "-f", "-", stdin=referring(away, home))
    assert f'user "ann" may not use SessionStorage "{home}/mine"' in said
    grant = f"-n {home} --verb=use --resource=sessionstorages.toolhive.stacklok.dev --resource-name=mine"
    assert f"kubectl create role use-mine {grant}" in said
    assert f"kubectl create rolebinding use-mine -n {home} --role=use-mine --user=ann" in said
    kubectl("create", "rolebinding", "ann", f"--clusterrole={USE}", "--user=ann", "-n", home)
    eventually(
        lambda: "created" in kubectl("create", "--as=ann", "-f", "-", stdin=referring(away, home)), what="admitted"
    )
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy is there")
    own = read(kubectl, "secret", "mine-connection", home)
    assert mirror(kubectl, away, home)["data"] == own["data"]
    policy = read(kubectl, "networkpolicy", "mine-valkey", home)
    assert away in json.dumps(policy["spec"])


def test_a_forged_record_grants_nothing(kubectl: Kubectl, home: str, away: str) -> None:
    forged = {"by": "field", "for": "all", "granted": True, "made": [], "put": {}, "storage": f"{home}/mine"}
    said = kubectl.fails("create", "--as=ann", "-f", "-", stdin=referring(away, home, **{RECORD: json.dumps(forged)}))
    assert "may not use" in said
    kubectl("create", "--as=ann", "-f", "-", stdin=json.dumps(server(away)))
    kubectl("annotate", "--as=ann", "mcpserver", "srv", "-n", away, f"{RECORD}={json.dumps(forged)}")
    assert RECORD not in stored(kubectl, away)["metadata"].get("annotations", {})
    assert not has_mirror(kubectl, away, home)


def test_a_shared_namespace_needs_no_right_and_loses_the_copy_when_sharing_ends(
    kubectl: Kubectl, home: str, away: str
) -> None:
    kubectl.api.apply(storage("mine", home, size="small", allowedNamespaces=[away]))

    def is_created() -> bool:
        return "created" in kubectl("create", "--as=ann", "-f", "-", stdin=referring(away, home))

    eventually(is_created, what="the webhook knows that the storage is shared")
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy is there")
    # ToolHive's operator writes the object too, and has no right of its own.
    kubectl("patch", "--as=ann", "mcpserver", "srv", "-n", away, "--type=merge", "-p", '{"spec":{"image":"other"}}')
    kubectl.api.apply(storage("mine", home, size="small", allowedNamespaces=[]))
    eventually(lambda: not has_mirror(kubectl, away, home), what="the copy is gone")
    found = await_reason(kubectl, home, "mine", "NotPermitted", "ConsumersAdmitted")
    assert f"MCPServer {away}/srv" in found["message"]
    kubectl("patch", "--as=ann", "mcpserver", "srv", "-n", away, "--type=merge", "-p", '{"spec":{"image":"third"}}')
    kubectl("delete", "mcpserver", "srv", "-n", away)
    eventually(lambda: not condition(kubectl, home, "mine", "ConsumersAdmitted"), what="no consumer waits")


def test_a_copy_is_repaired_and_goes_with_the_last_consumer(kubectl: Kubectl, home: str, away: str) -> None:
    kubectl("create", "-f", "-", stdin=referring(away, home))
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy is there")
    kubectl("delete", "secret", f"{home}.mine-connection", "-n", away)
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy is back")
    kubectl("delete", "mcpserver", "srv", "-n", away)
    eventually(lambda: not has_mirror(kubectl, away, home), what="the copy is gone")


def test_a_copy_goes_with_its_storage_even_if_no_reconciler_saw_the_deletion(
    kubectl: Kubectl, home: str, away: str, processes: dict[str, Process]
) -> None:
    kubectl("create", "-f", "-", stdin=referring(away, home))
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy is there")
    processes["reconciler"].kill()
    kubectl("annotate", "sessionstorage", "mine", "-n", home, "toolhive.stacklok.dev/force-delete=true")
    kubectl("delete", "sessionstorage", "mine", "-n", home)
    processes["reconciler"].start()
    processes["reconciler"].await_ready()
    eventually(lambda: not has_mirror(kubectl, away, home), what="the copy is gone", seconds=60)


def test_a_storage_in_use_is_only_deleted_by_force_or_with_its_namespace(kubectl: Kubectl, home: str) -> None:
    kubectl.api.create(server(home, sessionStorageRef="mine"))

    def is_refused() -> bool:
        said = kubectl.fails("delete", "sessionstorage", "mine", "-n", home, "--dry-run=server")
        return f"used by MCPServer {home}/srv" in said

    eventually(is_refused, what="the webhook knows the consumer")
    kubectl("delete", "namespace", home, "--wait=true", "--timeout=60s")
    kubectl("create", "namespace", home)


def test_the_proxys_deployment_reads_the_secret(kubectl: Kubectl, home: str) -> None:
    kubectl.api.create(server(home, sessionStorageRef="mine"))
    owner = stored(kubectl, home)
    labels = {"toolhive": "true", "app.kubernetes.io/name": "mcpserver", "app": "mcpserver"}
    proxy: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "srv",
            "namespace": home,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": "MCPServer",
                    "name": "srv",
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "toolhive", "image": "x"}]}},
        },
    }

    def sources() -> object:
        found = json.loads(kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(proxy)))
        return found["spec"]["template"]["spec"]["containers"][0].get("envFrom")

    eventually(lambda: sources() == [{"secretRef": {"name": "mine-connection"}}], what="envFrom")


OPERATOR = "--as=system:serviceaccount:toolhive-system:toolhive-operator"
FINALIZER = {"metadata": {"finalizers": ["toolhive.stacklok.dev/finalizer"], "labels": {"a": "b"}}}


@pytest.fixture
def operator(kubectl: Kubectl) -> Iterator[str]:
    """Create an account with the rights that ToolHive's chart gives its operator over consumers, and no others."""
    consumers = ("--verb=get,list,watch,update,patch", f"--resource={','.join(CONSUMERS)}")
    kubectl("create", "clusterrole", "toolhive-operator", *consumers)
    account = "--serviceaccount=toolhive-system:toolhive-operator"
    kubectl("create", "clusterrolebinding", "toolhive-operator", "--clusterrole=toolhive-operator", account)
    yield OPERATOR
    kubectl("delete", "clusterrolebinding/toolhive-operator", "clusterrole/toolhive-operator")


@pytest.mark.parametrize("kind", KINDS)
def test_toolhives_operator_is_not_refused_for_somebody_elses_reference(
    kubectl: Kubectl, home: str, away: str, operator: str, kind: str
) -> None:
    kubectl.api.create(consumer(kind, away, {ANNOTATION: f"{home}/mine"}))
    before = found(kubectl, kind, away)
    assert '"granted":true' in before["metadata"]["annotations"][RECORD]
    change(kubectl, kind, away, FINALIZER, operator)
    change(kubectl, kind, away, {"metadata": {"annotations": {"own": "note"}}}, operator)
    change(kubectl, kind, away, {"spec": {"replicas": 2}}, operator)
    after = found(kubectl, kind, away)
    assert after["metadata"]["finalizers"] == FINALIZER["metadata"]["finalizers"]
    assert after["metadata"]["annotations"][RECORD] == before["metadata"]["annotations"][RECORD]
    assert after["spec"]["sessionStorage"] == before["spec"]["sessionStorage"]
    change(kubectl, kind, away, {"metadata": {"finalizers": None}}, operator)
    kubectl("delete", "-n", away, CONSUMERS[KINDS.index(kind)], "srv")


def test_a_record_forged_together_with_a_reference_grants_nothing(kubectl: Kubectl, home: str, away: str) -> None:
    """Written together, one after the other, and over a reference that somebody was granted for another storage."""
    forged = {"by": "annotation", "for": "all", "granted": True, "made": [], "put": {}, "storage": f"{home}/mine"}
    annotations = {ANNOTATION: f"{home}/mine", RECORD: json.dumps(forged, separators=(",", ":"))}
    kubectl("create", "--as=ann", "-f", "-", stdin=json.dumps(server(away, sessionStorageRef="own")))
    both = {"metadata": {"annotations": annotations}, "spec": {"sessionStorageRef": None}}
    assert "may not use" in change_is_refused(kubectl, "MCPServer", away, both, "--as=ann")
    change(kubectl, "MCPServer", away, {"metadata": {"annotations": {RECORD: annotations[RECORD]}}}, "--as=ann")
    assert "may not use" in change_is_refused(kubectl, "MCPServer", away, both, "--as=ann")
    change(kubectl, "MCPServer", away, {"spec": {"sessionStorageRef": {"name": "other", "namespace": home}}})
    assert '"granted":true' in stored(kubectl, away)["metadata"]["annotations"][RECORD]
    assert "may not use" in change_is_refused(kubectl, "MCPServer", away, both, "--as=ann")
    assert not has_mirror(kubectl, away, home)


def test_the_right_to_one_storage_does_not_extend_to_its_neighbour(kubectl: Kubectl, home: str, away: str) -> None:
    # A manifest, because `kubectl create role` refuses verbs that it does not know.
    rule = {
        "apiGroups": ["toolhive.stacklok.dev"],
        "resources": ["sessionstorages"],
        "resourceNames": ["mine"],
        "verbs": ["use"],
    }
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "one", "namespace": home},
    }
    kubectl.apply({**role, "rules": [rule]})
    kubectl("create", "rolebinding", "one", "--role=one", "--user=ann", "-n", home)
    eventually(
        lambda: "created" in kubectl("create", "--dry-run=server", "--as=ann", "-f", "-", stdin=referring(away, home)),
        what="admitted",
    )
    neighbour = server(away, sessionStorageRef={"name": "other", "namespace": home})
    said = kubectl.fails("create", "--as=ann", "-f", "-", stdin=json.dumps(neighbour))
    assert f'user "ann" may not use SessionStorage "{home}/other"' in said


def test_force_deletes_a_storage_in_use(kubectl: Kubectl, home: str) -> None:
    kubectl.api.create(server(home, sessionStorageRef="mine"))
    eventually(
        lambda: "used by" in kubectl.fails("delete", "sstore", "mine", "-n", home, "--dry-run=server"), what="refused"
    )
    said = kubectl.fails("delete", "sstore", "mine", "-n", home)
    (command,) = re.findall(r"kubectl (annotate .*=true)", said)
    kubectl(*command.split())
    kubectl("delete", "sstore", "mine", "-n", home, "--timeout=60s")


@pytest.mark.parametrize("processes_run", [True, False], ids=["with us", "without us"])
def test_a_namespace_can_be_deleted_although_its_storages_are_in_use(
    kubectl: Kubectl, home: str, away: str, processes: dict[str, Process], *, processes_run: bool
) -> None:
    """Consumers of every kind use the storage, in the deleted namespace and in another one."""
    for kind in KINDS:
        kubectl.api.create(consumer(kind, home, sessionStorageRef="mine"))
    kubectl("create", "-f", "-", stdin=referring(away, home))
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy is there")
    if not processes_run:
        for process in processes.values():
            process.kill()
    try:
        kubectl("delete", "namespace", home, "--wait=true", "--timeout=60s")
    finally:
        if not processes_run:
            for process in processes.values():
                process.start()
            for process in processes.values():
                process.await_ready()
    eventually(lambda: not has_mirror(kubectl, away, home), what="the copy is gone", seconds=60)
    kubectl("create", "namespace", home)
