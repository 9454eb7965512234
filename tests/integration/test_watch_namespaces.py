"""The product with rights in two namespaces and no others; half of the chart can exist only once in a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from deploy.local.loopback import ControlPlane
from shared.objects.resources import MCP_SERVERS, SECRETS, SESSION_STORAGES
from tests.integration.consumers import found, referring
from tests.integration.control_plane import Kubectl, running_control_plane
from tests.integration.installation import (
    NAMESPACE,
    RELEASE,
    chart_objects,
    install_chart,
    install_toolhive_crds,
    running_processes,
)
from tests.integration.loopback import free_port
from tests.integration.mcpservers import RECORD
from tests.integration.processes import Process, eventually, running_kubelet
from tests.integration.storages import await_ready, await_reason, children, status, storage

WATCHED = ("team", "shop")
ELSEWHERE = "elsewhere"
WITHOUT_NAMESPACE = {
    *("namespaces", "nodes", "customresourcedefinitions", "mutatingwebhookconfigurations", "subjectaccessreviews")
}
VALUES = tuple(f"watchNamespaces[{index}]={name}" for index, name in enumerate(WATCHED))
FIRST_ADDRESS = 30_000
ACCOUNT = f"--as=system:serviceaccount:{NAMESPACE}:{RELEASE}-reconciler"


@pytest.fixture(scope="module")
def own_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with running_control_plane(tmp_path_factory.mktemp("watched") / "control-plane") as control_plane:
        yield control_plane


@pytest.fixture(scope="module")
def kubectl(own_control_plane: ControlPlane) -> Kubectl:
    kubectl = Kubectl(own_control_plane.kubeconfig)
    install_toolhive_crds(kubectl)
    for namespace in (*WATCHED, ELSEWHERE):
        kubectl("create", "namespace", namespace)
    return kubectl


@pytest.fixture(scope="module")
def processes(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    port, directory = free_port(), tmp_path_factory.mktemp("processes")
    objects = install_chart(kubectl, port, *VALUES)
    with (
        running_kubelet(kubectl.kubeconfig, tmp_path_factory.mktemp("kubelet"), FIRST_ADDRESS),
        running_processes(objects, kubectl, port, directory) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def _running(processes: dict[str, Process], kubectl: Kubectl) -> None:
    def is_connected() -> bool:
        asked = referring("MCPServer", WATCHED[0], "string", "probe")
        return RECORD in kubectl.api.create(asked, "--dry-run=server")["metadata"]["annotations"]

    eventually(is_connected, what="the webhook is called")


def complaints(process: Process) -> list[str]:
    """List the log lines about missing rights."""
    return [line for line in process.log.read_text().splitlines() if "forbidden" in line.lower()]


def test_storages_and_consumers_of_the_namespaces_are_looked_after(
    kubectl: Kubectl, processes: dict[str, Process]
) -> None:
    kubectl.api.apply(storage("mine", "team", size="small", allowedNamespaces=["shop"]))
    await_ready(kubectl, "team", "mine")
    assert children(kubectl, "team", "mine")
    for namespace in WATCHED:
        consumer = referring("MCPServer", namespace, "string")
        consumer["spec"]["sessionStorageRef"] = {"name": "mine", "namespace": "team"}
        kubectl.api.create(consumer)
        assert '"storage":"team/mine"' in found(kubectl, "MCPServer", namespace)["metadata"]["annotations"][RECORD]
    copy = "team.mine-connection"
    eventually(lambda: copy in {each["metadata"]["name"] for each in kubectl.api.list(SECRETS, "shop")}, what=copy)
    # Each namespace has a watch of its own: the webhook may know of one consumer a moment before the other.
    eventually(
        lambda: (
            "is used by MCPServer shop/srv, MCPServer team/srv"
            in kubectl.fails("delete", "sessionstorage", "mine", "-n", "team")
        ),
        what="the refusal names both consumers",
    )
    for namespace in WATCHED:
        kubectl.api.delete(MCP_SERVERS, namespace, "srv")
    eventually(
        lambda: "deleted" in kubectl("delete", "sessionstorage", "mine", "-n", "team", "--wait=false"), what="deleted"
    )
    eventually(lambda: not kubectl.api.list(SECRETS, "shop"), what="the copy is gone")
    assert {name: complaints(process) for name, process in processes.items()} == {"webhook": [], "reconciler": []}


def test_a_secret_that_an_external_storage_names_is_followed(kubectl: Kubectl, processes: dict[str, Process]) -> None:
    external = {"url": "redis://nowhere.invalid:6379", "secretRef": "theirs"}
    kubectl.api.apply(storage("outside", "team", external=external))
    await_reason(kubectl, "team", "outside", "SecretNotFound")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": "team"}}
    kubectl.api.create({**secret, "stringData": {"password": "x"}})
    await_reason(kubectl, "team", "outside", "DnsFailed")
    kubectl.api.delete(SESSION_STORAGES, "team", "outside")
    assert {name: complaints(process) for name, process in processes.items()} == {"webhook": [], "reconciler": []}


def test_other_namespaces_are_left_alone_and_nothing_there_is_refused(
    kubectl: Kubectl, processes: dict[str, Process]
) -> None:
    kubectl.api.apply(storage("mine", ELSEWHERE, size="small"))
    kubectl.api.create(referring("MCPServer", ELSEWHERE, "string"))
    kubectl.api.apply(storage("later", "team", size="small"))
    eventually(lambda: "phase" in status(kubectl, "team", "later"), what="a storage that was made later has a status")
    assert status(kubectl, ELSEWHERE, "mine") == {"observedGeneration": -1}
    assert children(kubectl, ELSEWHERE, "mine") == set()
    assert RECORD not in found(kubectl, "MCPServer", ELSEWHERE)["metadata"].get("annotations", {})
    kubectl.api.delete(SESSION_STORAGES, "team", "later")
    assert {name: complaints(process) for name, process in processes.items()} == {"webhook": [], "reconciler": []}


def test_the_service_accounts_may_do_nothing_elsewhere(kubectl: Kubectl) -> None:
    for verb, resource in (
        ("list", "secrets"),
        ("create", "statefulsets.apps"),
        ("delete", "pods"),
        ("list", "sessionstorages.toolhive.stacklok.dev"),
        ("patch", "mcpservers.toolhive.stacklok.dev"),
    ):
        for account in (ACCOUNT, ACCOUNT.replace("-reconciler", "-webhook")):
            assert kubectl.fails("auth", "can-i", verb, resource, "-n", ELSEWHERE, account) == ""
        assert kubectl("auth", "can-i", verb, resource, "-n", "team", ACCOUNT) == "yes\n"
    assert kubectl.fails("auth", "can-i", "list", "secrets", "--all-namespaces", ACCOUNT) == ""


def test_the_handover_knows_the_namespaces() -> None:
    (job,) = [obj for obj in chart_objects(*VALUES) if obj["kind"] == "Job"]
    env = {item["name"]: item.get("value") for item in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["WATCH_NAMESPACES"] == ",".join(WATCHED)


def test_the_roles_in_the_namespaces_give_what_the_cluster_role_gives_without_them() -> None:
    def rules(kind: str, name: str, *values: str) -> list[str]:
        objects = chart_objects(*values)
        found = [obj["rules"] for obj in objects if (obj["kind"], obj["metadata"]["name"]) == (kind, name)]
        return sorted(json.dumps(rule, sort_keys=True) for each in found for rule in each)

    for name in (f"{RELEASE}-webhook", f"{RELEASE}-reconciler"):
        everywhere = rules("ClusterRole", name)
        left, in_namespaces = rules("ClusterRole", name, *VALUES), rules("Role", f"{name}-storages", *VALUES)
        assert set(in_namespaces) <= set(everywhere)
        assert len(in_namespaces) == len(WATCHED) * len(set(in_namespaces))
        assert {resource for rule in left for resource in json.loads(rule)["resources"]} <= WITHOUT_NAMESPACE
