"""Embedded auth servers on a real API server, with ToolHive's own CRDs and a real Valkey: where their data is kept.

Takes about half a minute.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.credentials import identities
from reconciler.credentials.identities import OPERATOR
from reconciler.credentials.login import Login
from reconciler.valkey import users
from shared import names
from shared.objects.field_path import pointer
from shared.objects.field_path import read as read_field
from shared.objects.resources import (
    MCP_EXTERNAL_AUTH_CONFIGS,
    MCP_SERVERS,
    SECRETS,
    SESSION_STORAGES,
    VIRTUAL_MCP_SERVERS,
    Object,
)
from tests.integration.auth_servers import connected_by_hand, described
from tests.integration.consumers import await_injection_of_all
from tests.integration.control_plane import Kubectl
from tests.integration.guards import BINDING, WEBHOOK, without
from tests.integration.mcpservers import RECORD, server
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, condition, read, storage

RESOURCES = {"MCPExternalAuthConfig": MCP_EXTERNAL_AUTH_CONFIGS, "VirtualMCPServer": VIRTUAL_MCP_SERVERS}
SERVERS = {"MCPExternalAuthConfig": ("spec", "embeddedAuthServer"), "VirtualMCPServer": ("spec", "authServerConfig")}
VERSIONS = ("v1alpha1", "v1beta1")
PODS = ("spec", "resourceOverrides", "proxyDeployment", "podTemplateMetadataOverrides", "annotations")


@pytest.fixture(autouse=True)
def _injecting(processes: dict[str, Process], kubectl: Kubectl) -> None:
    processes["reconciler"].await_ready()
    await_injection_of_all(kubectl)


def store_of(kubectl: Kubectl, kind: str, namespace: str, version: str = "v1beta1") -> Any:
    """Read where an auth server keeps its data, by one of the versions that the CRD serves."""
    found = kubectl.api.get(replace(RESOURCES[kind], version=version), namespace, "login")
    return read_field(found, (*SERVERS[kind], "storage"))


def change(kubectl: Kubectl, kind: str, namespace: str, patch: Object) -> Object:
    return kubectl.api.change(RESOURCES[kind], namespace, "login", patch)


@pytest.mark.parametrize("kind", RESOURCES)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_auth_server_is_stored_with_all_that_it_needs_and_without_it_again(
    kubectl: Kubectl, namespace: str, kind: str, version: str
) -> None:
    created = kubectl.api.create(described(kind, namespace, version, sessionStorageRef="mine"))
    recorded = json.loads(created["metadata"]["annotations"][RECORD])["put"]
    for served in VERSIONS:
        stored = store_of(kubectl, kind, namespace, served)
        assert stored["type"] == "redis"
        assert stored["redis"]["addr"] == f"mine-valkey.{namespace}.svc:6379"
        password = {"name": "mine-connection", "key": "REDIS_PASSWORD"}
        assert stored["redis"]["aclUserConfig"] == {"passwordSecretRef": password}
        # A former release removes what the record lists and no more. The schema refuses its own defaults by themselves.
        redis = pointer((*SERVERS[kind], "storage", "redis"))
        assert {f"{redis}/{name}" for name in stored["redis"].keys() - {"aclUserConfig"}} <= recorded.keys()
    left = change(kubectl, kind, namespace, {"spec": {"sessionStorageRef": None}})
    assert store_of(kubectl, kind, namespace) is None
    assert RECORD not in left["metadata"].get("annotations", {})


@pytest.mark.parametrize("kind", RESOURCES)
def test_a_move_to_another_storage_replaces_the_address_alone(kubectl: Kubectl, namespace: str, kind: str) -> None:
    own = {"storage": {"type": "redis", "redis": {"dialTimeout": "9s"}}}
    kubectl.api.create(described(kind, namespace, own=own, sessionStorageRef="mine"))
    change(kubectl, kind, namespace, {"spec": {"sessionStorageRef": "other"}})
    stored = store_of(kubectl, kind, namespace)
    assert stored["redis"]["addr"] == f"other-valkey.{namespace}.svc:6379"
    assert stored["redis"]["dialTimeout"] == "9s"


@pytest.mark.parametrize("kind", RESOURCES)
def test_a_storage_cannot_be_deleted_while_an_auth_server_uses_it(kubectl: Kubectl, namespace: str, kind: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="small"))
    kubectl.api.create(described(kind, namespace, sessionStorageRef="mine"))
    assert store_of(kubectl, kind, namespace)["redis"]["addr"] == f"mine-valkey.{namespace}.svc:6379"

    def refusal() -> str:
        return kubectl.api.delete_refusal(SESSION_STORAGES, namespace, "mine", "--dry-run=server")

    def goes() -> bool:
        kubectl.api.delete(SESSION_STORAGES, namespace, "mine")
        return True

    eventually(lambda: f"{kind} {namespace}/login" in refusal(), what="the webhook knows the consumer")
    kubectl.api.delete(RESOURCES[kind], namespace, "login")
    eventually(goes, what="the webhook has seen the last consumer go")


def test_an_auth_server_of_another_namespace_reads_a_copy_of_the_secret(kubectl: Kubectl, namespace: str) -> None:
    def goes() -> bool:
        kubectl.api.delete(SESSION_STORAGES, "default", "shared")
        return True

    kubectl.api.apply(storage("shared", "default", size="small", allowedNamespaces=[namespace]))
    try:
        reference = {"name": "shared", "namespace": "default"}
        kubectl.api.create(described("MCPExternalAuthConfig", namespace, sessionStorageRef=reference))
        secret = store_of(kubectl, "MCPExternalAuthConfig", namespace)["redis"]["aclUserConfig"]["passwordSecretRef"]
        assert secret["name"] == "default.shared-connection"
        eventually(
            lambda: [each["metadata"]["name"] for each in kubectl.api.list(SECRETS, namespace)] == [secret["name"]],
            what="the copy is beside the auth server",
        )
        kubectl.api.delete(MCP_EXTERNAL_AUTH_CONFIGS, namespace, "login")
        eventually(lambda: not kubectl.api.list(SECRETS, namespace), what="the copy goes with it")
    finally:
        eventually(goes, what="the webhook has seen the last consumer go")


@pytest.mark.parametrize("kind", RESOURCES)
def test_the_reconciler_readmits_an_auth_server_that_the_webhook_missed(
    kubectl: Kubectl, namespace: str, kind: str
) -> None:
    asked = described(kind, namespace, sessionStorageRef="mine")

    def is_missed() -> bool:
        spec = kubectl.api.create(asked, "--dry-run=server")["spec"]
        return "storage" not in spec[SERVERS[kind][-1]]

    with without(kubectl, WEBHOOK, BINDING):
        eventually(is_missed, what="API servers know that there is no webhook")
        kubectl.api.create(asked)
    eventually(lambda: bool(store_of(kubectl, kind, namespace)), what="the auth server is connected")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stamp_of_an_auth_servers_host_gets_to_its_pods(kubectl: Kubectl, namespace: str, version: str) -> None:
    kubectl.api.create(server(namespace, version))
    stamp = {names.ANNOTATION_AUTH_REVISION: "r1@2026-11-24T00:00:00Z"}
    stamped = kubectl.api.change(
        replace(MCP_SERVERS, version=version), namespace, "srv", {"metadata": {"annotations": stamp}}
    )
    assert read_field(stamped, PODS) == {names.ANNOTATION_AUTH_REVISION: "r1"}


def policy_of(kubectl: Kubectl, namespace: str) -> str:
    return str(read(kubectl, "configmap", "mine-valkey", namespace)["data"]["eviction"])


@pytest.mark.usefixtures("kubelet")
async def test_a_storage_keeps_what_has_no_end_and_restarts_what_runs_the_auth_server(
    kubectl: Kubectl, namespace: str
) -> None:
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    pod = read(kubectl, "pod", "mine-valkey-0-0", namespace)
    assert policy_of(kubectl, namespace) == "allkeys-lru"
    kubectl.api.create(described("MCPExternalAuthConfig", namespace, sessionStorageRef="mine"))
    kubectl.api.create(server(namespace, externalAuthConfigRef={"name": "login"}))
    eventually(lambda: policy_of(kubectl, namespace) == "volatile-lru", what="the storage keeps keys without an end")

    async def live() -> str:
        secret = read(kubectl, "secret", "mine-auth", namespace)["data"]
        login = Login(OPERATOR.user, identities.decoded(secret)[OPERATOR.key])
        return (await users.observe(pod["status"]["podIP"], names.VALKEY_PORT, login)).eviction

    eventually(lambda: condition(kubectl, namespace, "mine", "Ready").get("status") == "True", what="it is ready")
    assert await live() == "volatile-lru"
    kubectl("annotate", "sessionstorage", "mine", f"{names.ANNOTATION_ROTATE}=one", "-n", namespace)

    def rotated() -> bool:
        return condition(kubectl, namespace, "mine", "CredentialRotated").get("status") == "True"

    eventually(rotated, seconds=60, what="the rotation is over")
    host = kubectl.api.get(MCP_SERVERS, namespace, "srv")
    revision = host["metadata"]["annotations"][names.ANNOTATION_AUTH_REVISION].partition("@")[0]
    assert read_field(host, PODS) == {names.ANNOTATION_AUTH_REVISION: revision}
    assert revision in condition(kubectl, namespace, "mine", "CredentialRotated")["message"]
    kubectl.api.delete(MCP_EXTERNAL_AUTH_CONFIGS, namespace, "login")
    eventually(lambda: policy_of(kubectl, namespace) == "allkeys-lru", what="any session may go again")
    kubectl.api.create(connected_by_hand(namespace))
    eventually(lambda: policy_of(kubectl, namespace) == "volatile-lru", what="its address alone makes it count")
    assert read(kubectl, "pod", "mine-valkey-0-0", namespace)["metadata"]["uid"] == pod["metadata"]["uid"]
