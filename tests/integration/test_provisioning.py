"""A SessionStorage becomes a secured Valkey, and stays as its spec asks."""

from __future__ import annotations

import os
import re
import signal

import pytest
import valkey

from reconciler.credentials import identities
from shared.objects.resources import EVENTS, SESSION_STORAGES
from tests.integration.control_plane import Kubectl
from tests.integration.processes import eventually
from tests.integration.storages import (
    await_ready,
    await_reason,
    children,
    expected_children,
    read,
    secret_value,
    status,
    storage,
)

pytestmark = pytest.mark.usefixtures("processes", "kubelet")


def address(kubectl: Kubectl, namespace: str, name: str) -> str:
    ip: str = read(kubectl, "pod", f"{name}-valkey-0-0", namespace)["status"]["podIP"]
    return ip


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_a_storage_of_each_size_becomes_ready(kubectl: Kubectl, namespace: str, size: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size=size))
    await_ready(kubectl, namespace, "mine")
    seen = status(kubectl, namespace, "mine")
    assert seen["connectionSecret"] == "mine-connection"
    assert seen["message"] == "Storage is ready and secured"
    assert seen["observedGeneration"] == 1
    assert children(kubectl, namespace, "mine") == expected_children("mine", 3 if size == "large" else 1)


def test_a_storage_without_a_size_is_medium(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace))
    await_ready(kubectl, namespace, "mine")
    assert read(kubectl, "sessionstorage", "mine", namespace)["spec"] == {"size": "medium"}


def test_the_connection_secret_gives_access_to_session_keys_and_to_nothing_more(
    kubectl: Kubectl, namespace: str
) -> None:
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    password = secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD")
    assert re.fullmatch("[A-Za-z0-9]{32}", password)
    url = secret_value(kubectl, namespace, "mine-connection", "REDIS_URL")
    assert url == f"redis://:{password}@mine-valkey.{namespace}.svc:6379"
    assert secret_value(kubectl, namespace, "mine-connection", "SESSION_STORAGE_TYPE") == "redis"
    with valkey.Valkey(host=address(kubectl, namespace, "mine"), password=password) as client:
        assert client.set("thv:proxy:session:1", "x", ex=60)
        assert client.getex("thv:proxy:session:1", ex=60) == b"x"
        assert client.execute_command("INFO", "memory")["maxmemory_policy"] == "allkeys-lru"
        with pytest.raises(valkey.exceptions.NoPermissionError):
            client.flushall()


def test_events_tell_how_a_storage_became_ready(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")

    def reasons() -> list[str]:
        found = kubectl.api.list(EVENTS, namespace)
        return [item["reason"] for item in found if item["regarding"]["kind"] == "SessionStorage"]

    eventually(lambda: reasons().count("StorageReady") == 1, what="an Event with reason Ready")


def uid(kubectl: Kubectl, child: str, namespace: str) -> str:
    kind, name = child.split("/")
    found: str = read(kubectl, kind.partition(".")[0], name, namespace)["metadata"]["uid"]
    return found


@pytest.mark.parametrize("child", sorted(expected_children("mine")))
def test_a_deleted_child_comes_back(kubectl: Kubectl, namespace: str, child: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    password = secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD")
    before = uid(kubectl, child, namespace)
    kubectl("delete", child, "-n", namespace)
    eventually(lambda: uid(kubectl, child, namespace) != before, what=f"{child} is back")
    await_ready(kubectl, namespace, "mine")
    assert secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD") == password
    assert secret_value(kubectl, namespace, "mine-auth", "password") == password


def test_new_system_passwords_reach_the_instance(kubectl: Kubectl, namespace: str) -> None:
    """A lost auth Secret means new passwords for the system's own users: the instance must learn them."""
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    kubectl("delete", "secret", "mine-auth", "-n", namespace)

    def operator_gets_in() -> bool:
        password = secret_value(kubectl, namespace, "mine-auth", identities.OPERATOR.key)
        with valkey.Valkey(
            host=address(kubectl, namespace, "mine"), username=identities.OPERATOR.user, password=password
        ) as client:
            try:
                return bool(client.ping())
            except valkey.exceptions.ValkeyError:
                return False

    eventually(operator_gets_in, what="the new password of user operator works")
    await_ready(kubectl, namespace, "mine")


@pytest.mark.parametrize(
    ("kind", "name", "patch"),
    [
        ("service", "mine-valkey", '{"spec":{"selector":{"toolhive.stacklok.dev/node":"7"}}}'),
        ("service", "mine-valkey", '{"spec":{"selector":{"foreign":"label"}}}'),
        ("endpointslice", "mine-valkey", '{"metadata":{"labels":{"toolhive.stacklok.dev/node":"7"}}}'),
        ("endpointslice", "mine-valkey", '{"endpoints":[{"addresses":["192.0.2.1"]}]}'),
        ("endpointslice", "mine-valkey", '{"endpoints":[]}'),
        ("configmap", "mine-valkey", '{"data":{"valkey.conf":"appendonly no"}}'),
        ("networkpolicy", "mine-valkey", '{"spec":{"ingress":[{}]}}'),
        ("statefulset", "mine-valkey-0", '{"spec":{"replicas":0}}'),
        ("secret", "mine-connection", '{"data":{"REDIS_PASSWORD":"bm9uc2Vuc2U="}}'),
        ("secret", "mine-auth", '{"data":{"users.acl":"bm9uc2Vuc2U="}}'),
        ("secret", "mine-connection", '{"data":{"LD_PRELOAD":"bm9uc2Vuc2U="}}'),
        ("service", "mine-valkey", '{"spec":{"externalIPs":["198.51.100.1"]}}'),
        ("service", "mine-valkey", '{"spec":{"type":"NodePort"}}'),
        ("statefulset", "mine-valkey-0", '{"spec":{"template":{"spec":{"hostNetwork":true}}}}'),
    ],
)
def test_a_child_edited_by_hand_is_repaired(kubectl: Kubectl, namespace: str, kind: str, name: str, patch: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")

    def content() -> object:
        found = read(kubectl, kind, name, namespace)
        return found.get("spec"), found.get("data"), found.get("endpoints"), found["metadata"]["labels"]

    before = content()
    kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", patch)
    eventually(lambda: content() == before, what=f"{kind} {name} is as before")


def test_a_secret_of_somebody_else_is_left_alone(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "secret", "generic", "mine-auth", "-n", namespace, "--from-literal=password=theirs")
    kubectl.api.apply(storage("mine", namespace, size="small"))
    found = await_reason(kubectl, namespace, "mine", "NameTaken")
    assert "Secret mine-auth" in found["message"]
    assert secret_value(kubectl, namespace, "mine-auth", "password") == "theirs"
    assert children(kubectl, namespace, "mine") == set()
    kubectl("delete", "secret", "mine-auth", "-n", namespace)
    await_ready(kubectl, namespace, "mine")


def test_a_deleted_storage_leaves_nothing_and_can_be_created_again(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="medium"))
    await_ready(kubectl, namespace, "mine")
    password = secret_value(kubectl, namespace, "mine-auth", "password")
    kubectl("delete", "sessionstorage", "mine", "-n", namespace)
    kubectl.api.apply(storage("mine", namespace, size="medium"))
    await_ready(kubectl, namespace, "mine")
    assert secret_value(kubectl, namespace, "mine-auth", "password") != password
    kubectl("delete", "sessionstorage", "mine", "-n", namespace)
    eventually(lambda: not children(kubectl, namespace, "mine"), what="no object is left")


def test_a_deleted_storage_that_a_finalizer_keeps_says_that_it_is_going(kubectl: Kubectl, namespace: str) -> None:
    held = storage("mine", namespace, size="small")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    kubectl.api.create(held)
    await_ready(kubectl, namespace, "mine")
    kubectl.api.delete(SESSION_STORAGES, namespace, "mine")
    eventually(lambda: status(kubectl, namespace, "mine")["phase"] == "Terminating", what="the phase tells")
    going = read(kubectl, "sessionstorage", "mine", namespace)
    assert going["status"]["observedGeneration"] == going["metadata"]["generation"]
    assert going["status"]["connectionSecret"] == "mine-connection"
    kubectl.api.change(SESSION_STORAGES, namespace, "mine", {"metadata": {"finalizers": None}})


def test_an_instance_that_stops_answering_is_reported_until_it_answers_again(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="medium"))
    await_ready(kubectl, namespace, "mine")
    password = secret_value(kubectl, namespace, "mine-auth", identities.EXPORTER.key)
    with valkey.Valkey(
        host=address(kubectl, namespace, "mine"), username=identities.EXPORTER.user, password=password
    ) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: status(kubectl, namespace, "mine")["phase"] == "Degraded", what="Degraded")
    finally:
        os.kill(pid, signal.SIGCONT)
    await_ready(kubectl, namespace, "mine")
