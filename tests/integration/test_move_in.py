"""A user's own store becomes a storage in two applies, with the prefix under which its sessions are."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
import yaml

from shared.objects.resources import CRDS, MCP_SERVERS, VIRTUAL_MCP_SERVERS, Object
from tests.integration.consumers import await_injection_of_all
from tests.integration.control_plane import Kubectl
from tests.integration.mcpservers import RECORD, TOOLHIVE_CRD, install_toolhive_crd, server
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_reason, storage
from tests.rules.rule import BY_FIELD, virtual_server

STORE = "gateway-dragonfly.llm.svc:6379"
PREFIX = "toolhive:vmcp:"
OWN = {
    "provider": "redis",
    "address": STORE,
    "db": 0,
    "keyPrefix": PREFIX,
    "passwordRef": {"name": "gateway-redis", "key": "password"},
}
UNGUARDED = "dragonfly.database.svc.cluster.local:6379"
UNGUARDED_OWN = {"provider": "redis", "address": UNGUARDED, "keyPrefix": "thv:vmcp:unified:session:"}
CONTAINER = {
    "name": "vmcp",
    "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    "env": [{"name": "LOG_LEVEL", "value": "debug"}],
    "startupProbe": {"httpGet": {"path": "/health", "port": 4483}, "failureThreshold": 60},
}
VOLUMES = [{"name": "scratch", "emptyDir": {}}]
ways = pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])


@pytest.fixture(autouse=True)
def _injecting(processes: dict[str, Process], kubectl: Kubectl) -> None:
    await_injection_of_all(kubectl)


def gateway(namespace: str, **spec: object) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1beta1",
        "kind": "VirtualMCPServer",
        "metadata": {"name": "gateway", "namespace": namespace},
        "spec": {"groupRef": {"name": "mcp-tools"}, "incomingAuth": {"type": "anonymous"}, **spec},
    }


def apply(kubectl: Kubectl, how: tuple[str, ...], *objects: Object) -> str:
    return kubectl("apply", *how, "-f", "-", stdin=yaml.safe_dump_all(objects))


def spec_of(kubectl: Kubectl, namespace: str) -> Object:
    found: Object = kubectl.api.get(VIRTUAL_MCP_SERVERS, namespace, "gateway")["spec"]
    return found


def sessions_of(kubectl: Kubectl, namespace: str) -> Object:
    found: Object = spec_of(kubectl, namespace)["sessionStorage"]
    return found


def move(kubectl: Kubectl, how: tuple[str, ...], moved: Object) -> Object:
    """Apply a gateway with its reference, and return the spec that it gets; applied again, it stays as it is."""
    namespace = moved["metadata"]["namespace"]

    def is_applied() -> bool:
        with contextlib.suppress(AssertionError):  # the webhook may not know the condition yet
            apply(kubectl, how, moved)
        spec = spec_of(kubectl, namespace)
        return "sessionStorageRef" in spec and "address" in spec["sessionStorage"]

    eventually(is_applied, what="the reference is applied")
    spec = spec_of(kubectl, namespace)
    apply(kubectl, how, moved)
    assert spec_of(kubectl, namespace) == spec
    return spec


@ways
def test_two_applies_take_over_a_store_with_all_its_sessions(
    kubectl: Kubectl, namespace: str, how: tuple[str, ...]
) -> None:
    secret = {"name": "gateway-redis", "namespace": namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"password": "theirs"}})
    apply(kubectl, how, gateway(namespace, sessionStorage=OWN))
    refused = kubectl.fails(
        *("apply", *how, "-f", "-"), stdin=json.dumps(gateway(namespace, sessionStorage=OWN, sessionStorageRef="mine"))
    )
    assert refused.count("docs/howto/move-in.md") == 2
    assert "spec.sessionStorage.keyPrefix:" not in refused
    external = {"url": f"redis://{STORE}", "secretRef": "gateway-redis"}
    apply(kubectl, how, storage("mine", namespace, external=external))
    await_reason(kubectl, namespace, "mine", "PlainTcp", "ProxiesSupported")
    moved = gateway(namespace, sessionStorageRef="mine", sessionStorage={"keyPrefix": PREFIX})
    expected = OWN | {"passwordRef": {"name": "mine-connection", "key": "REDIS_PASSWORD"}}
    move(kubectl, how, moved)
    assert sessions_of(kubectl, namespace) == expected


@ways
def test_a_store_without_a_password_is_taken_over_and_the_pod_template_keeps_what_it_has(
    kubectl: Kubectl, namespace: str, how: tuple[str, ...]
) -> None:
    template = {"spec": {"volumes": VOLUMES, "containers": [CONTAINER]}}
    apply(kubectl, how, gateway(namespace, replicas=1, sessionStorage=UNGUARDED_OWN, podTemplateSpec=template))
    stand_in = json.dumps(storage("mine", namespace, external={"url": f"redis://{UNGUARDED}"}))
    said = kubectl.warns("apply", *how, "-f", "-", stdin=stand_in)
    assert "spec.external.secretRef is not set: consumers will use the store without a password" in said
    await_reason(kubectl, namespace, "mine", "PlainTcp", "ProxiesSupported")
    kept = {"sessionStorage": {"keyPrefix": UNGUARDED_OWN["keyPrefix"]}, "podTemplateSpec": template}
    spec = move(kubectl, how, gateway(namespace, replicas=1, sessionStorageRef="mine", **kept))
    assert spec["sessionStorage"] == UNGUARDED_OWN | {"db": 0}
    connected = CONTAINER | {"envFrom": [{"secretRef": {"name": "mine-connection"}}]}
    assert spec["podTemplateSpec"] == {"spec": {"volumes": VOLUMES, "containers": [connected]}}


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_without_the_reference_a_prefix_stays_and_a_store_of_ones_own_stands_at_once(
    kubectl: Kubectl, namespace: str, how: tuple[str, ...]
) -> None:
    prefix = {"keyPrefix": PREFIX}
    connected = gateway(namespace, sessionStorageRef="mine", sessionStorage=prefix)
    for _ in range(2):
        apply(kubectl, how, connected)
        assert sessions_of(kubectl, namespace)["address"] == f"mine-valkey.{namespace}.svc:6379"
        for _ in range(2):
            apply(kubectl, how, gateway(namespace, sessionStorage=OWN))
            assert sessions_of(kubectl, namespace) == OWN
        kubectl.api.delete(VIRTUAL_MCP_SERVERS, namespace, "gateway")
    apply(kubectl, how, connected)
    for _ in range(2):
        apply(kubectl, how, gateway(namespace, sessionStorage=prefix))
        assert sessions_of(kubectl, namespace) == {"provider": "memory", "db": 0, **prefix}


@pytest.mark.parametrize("how", [("apply",), ("apply", "--server-side"), ("replace",)], ids=" ".join)
def test_an_auth_servers_own_store_stands_at_once(kubectl: Kubectl, namespace: str, how: tuple[str, ...]) -> None:
    def write(**server: object) -> Object:
        written = gateway(namespace, sessionStorageRef="mine") | {"spec": virtual_server(**server) | BY_FIELD}
        kubectl(*how, "-f", "-", stdin=json.dumps(written))
        found: Object = kubectl.api.get(VIRTUAL_MCP_SERVERS, namespace, "gateway")["spec"]["authServerConfig"]
        return found

    kubectl.api.create(gateway(namespace) | {"spec": virtual_server() | BY_FIELD})
    acl = {"passwordSecretRef": {"name": "own", "key": "p"}}
    for own in ({"addr": "own:6379"}, {"sentinelConfig": {"masterName": "m", "sentinelAddrs": ["a:1"], "db": 0}}):
        for _ in range(2):
            stored = write(storage={"type": "redis", "redis": {**own, "aclUserConfig": acl}})["storage"]
            assert stored["type"] == "redis"
            assert {
                name: stored["redis"].get(name) for name in ("addr", "sentinelConfig") if name in stored["redis"]
            } == own
            assert stored["redis"]["aclUserConfig"] == acl
        assert write()["storage"]["redis"]["addr"] == f"mine-valkey.{namespace}.svc:6379"


@pytest.fixture
def untrusting(kubectl: Kubectl) -> Iterator[None]:
    """Have ToolHive's CRD refuse a pod template of an untrusted server, as its coming release does."""
    crd = kubectl.api.get(CRDS, "", TOOLHIVE_CRD)
    for version in crd["spec"]["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec["properties"]["untrusted"] = {"type": "boolean"}
        rule = {"rule": "!has(self.untrusted) || !self.untrusted || !has(self.podTemplateSpec)", "message": "untrusted"}
        spec.setdefault("x-kubernetes-validations", []).append(rule)
    kubectl.api.change(CRDS, "", TOOLHIVE_CRD, {"spec": {"versions": crd["spec"]["versions"]}})

    def refuses() -> bool:
        asked = server("default", untrusted=True, podTemplateSpec={"spec": {}})
        return "untrusted" in kubectl.fails("create", "--dry-run=server", "-f", "-", stdin=json.dumps(asked))

    eventually(refuses, what="the schema refuses pod templates")
    yield
    install_toolhive_crd(kubectl)
    await_injection_of_all(kubectl)


@pytest.mark.usefixtures("untrusting")
def test_an_untrusted_server_is_connected_by_its_proxy_alone(kubectl: Kubectl, namespace: str) -> None:
    asked = server(namespace, untrusted=True, transport="streamable-http", sessionStorageRef="mine")
    said = kubectl.warns("create", "-f", "-", stdin=json.dumps(asked))
    assert "spec.untrusted is true: only the proxy is connected" in said
    stored = kubectl.api.get(MCP_SERVERS, namespace, "srv")
    assert stored["spec"]["sessionStorage"]["address"] == f"mine-valkey.{namespace}.svc:6379"
    assert "podTemplateSpec" not in stored["spec"]
    assert json.loads(stored["metadata"]["annotations"][RECORD])["for"] == "proxy"
    # A server that becomes trusted gets the rest.
    trusted = kubectl.api.change(MCP_SERVERS, namespace, "srv", {"spec": {"untrusted": False}})
    assert "podTemplateSpec" in trusted["spec"]
    untrusted = kubectl.api.change(MCP_SERVERS, namespace, "srv", {"spec": {"untrusted": True}})
    assert "podTemplateSpec" not in untrusted["spec"]
