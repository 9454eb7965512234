"""A store of a user's own: it stands from the very write that brings it, and what is left without one is valid."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch
import pytest

from shared.consumers import injection
from shared.consumers.injection import InjectionContext, desired_of_stored
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.reference import StorageReference
from shared.consumers.storage_connection import ProxySupport, StorageConnection, connection_to
from shared.consumers.stored_consumer import StoredConsumer
from shared.consumers.targets import Target
from shared.names import ANNOTATION_INJECTION, ANNOTATION_TARGETS
from shared.objects.field_path import read
from shared.objects.resources import Object
from shared.session_storage.endpoint import Endpoint
from tests.support.generated import LEAST, schema_refusals
from webhook.admission import consumers
from webhook.admission.review import AdmissionRequest, Allow, Patch

REFERENCE = StorageReference("team", "store")
MANAGED = connection_to(REFERENCE, None)
WITH_USER_NAME = StorageConnection(
    Endpoint("there", 6379, 0, is_tls=False), ProxySupport.NO_USER_NAME, is_external=True
)
SERVERS = {"VirtualMCPServer": "authServerConfig", "MCPExternalAuthConfig": "embeddedAuthServer"}
KEEPERS = ("MCPServer", "MCPRemoteProxy", "VirtualMCPServer")

OURS = {"passwordSecretRef": {"name": "store-connection", "key": "REDIS_PASSWORD"}}
THEIRS = {"passwordSecretRef": {"name": "own", "key": "p"}}
SENTINEL = {"masterName": "m", "sentinelAddrs": ["a:1"]}
AUTH_STORES = {
    "address and Secret": {"type": "redis", "redis": {"addr": "own:6379", "aclUserConfig": THEIRS}},
    "address, and the Secret that was there": {"type": "redis", "redis": {"addr": "own:6379", "aclUserConfig": OURS}},
    "Sentinels": {"type": "redis", "redis": {"sentinelConfig": SENTINEL, "aclUserConfig": THEIRS}},
    "Secret, and the address that was there": {
        "type": "redis",
        "redis": {"addr": "store-valkey.team.svc:6379", "aclUserConfig": THEIRS},
    },
    "user name": {
        "type": "redis",
        "redis": {
            "addr": "store-valkey.team.svc:6379",
            "aclUserConfig": {**OURS, "usernameSecretRef": {"name": "own", "key": "u"}},
        },
    },
}
SESSION_STORES: dict[str, Object] = {
    "address": {"provider": "redis", "address": "own:6379"},
    "address and Secret": {"provider": "redis", "address": "own:6379", "passwordRef": {"name": "own", "key": "p"}},
    "Secret, and the address that was there": {
        "provider": "redis",
        "address": "store-valkey.team.svc:6379",
        "passwordRef": {"name": "own", "key": "p"},
    },
    "memory": {"provider": "memory"},
}


def consumer(kind: str, **spec: Any) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1beta1",
        "kind": kind,
        "metadata": {"name": "c", "namespace": "team"},
        "spec": json.loads(json.dumps(LEAST[kind])) | spec,
    }


def with_server(kind: str, *, storage: Any = None, refers: bool = True) -> Object:
    server: Object = {"issuer": "https://tools.example.com"} | ({} if storage is None else {"storage": storage})
    return consumer(kind, **{SERVERS[kind]: server}, **({"sessionStorageRef": "store"} if refers else {}))


def admitted(new: Object, old: Object | None = None, target: Target = Target.ALL) -> Object:
    """Send a write through the webhook."""
    request = AdmissionRequest("1", "UPDATE" if old else "CREATE", "team", "", new, old)
    decision = consumers.decide(consumers.ConsumerWrite.of(request), {}, target)
    assert isinstance(decision, Allow | Patch), decision
    operations = decision.operations if isinstance(decision, Patch) else []
    result: Object = jsonpatch.apply_patch(new, json.dumps(operations))
    return result


def merged(stored: Any, change: Any) -> Any:
    """Apply a merge patch (RFC 7386)."""
    if not isinstance(change, dict) or not isinstance(stored, dict):
        return change
    kept = {key: value for key, value in stored.items() if change.get(key, value) is not None}
    return kept | {key: merged(kept.get(key), value) for key, value in change.items() if value is not None}


def patched(stored: Object, written: Object, *, refers: bool) -> Object:
    """Change the stored object as `kubectl apply` does: what the user wrote is put over it, all else stays."""
    reference: Object = {} if refers else {"sessionStorageRef": None}
    result: Object = merged(stored, {"spec": written["spec"] | reference})
    return result


@pytest.mark.parametrize("own", AUTH_STORES.values(), ids=AUTH_STORES)
@pytest.mark.parametrize(
    ("kind", "refers"),
    [("VirtualMCPServer", True), ("VirtualMCPServer", False), ("MCPExternalAuthConfig", False)],
)
@pytest.mark.parametrize("way", ["written anew", "patched"])
def test_an_auth_servers_own_store_stands_in_the_write_that_brings_it(
    kind: str, own: Object, way: str, *, refers: bool
) -> None:
    stored = admitted(with_server(kind))
    written = with_server(kind, storage=own, refers=refers)
    for _ in range(2):
        new = written if way == "written anew" else patched(stored, written, refers=refers)
        stored = admitted(new, stored)
        assert read(stored, ("spec", SERVERS[kind], "storage")) == own


@pytest.mark.parametrize("own", SESSION_STORES.values(), ids=SESSION_STORES)
@pytest.mark.parametrize("kind", KEEPERS)
@pytest.mark.parametrize("way", ["written anew", "patched"])
def test_a_store_for_sessions_stands_in_the_write_that_brings_it_instead_of_a_reference(
    kind: str, own: Object, way: str
) -> None:
    stored = admitted(consumer(kind, sessionStorageRef="store"))
    written = consumer(kind, sessionStorage=own)
    for _ in range(2):
        new = written if way == "written anew" else patched(stored, written, refers=False)
        stored = admitted(new, stored)
        assert stored["spec"]["sessionStorage"] == own


@pytest.mark.parametrize("same", [{"db": 0}, {"keyPrefix": "thv:proxy:session:{team:c}:"}])
def test_of_a_store_that_somebody_wrote_anew_what_equals_ours_stays_too(same: Object) -> None:
    stored = admitted(consumer("MCPServer", sessionStorageRef="store"))
    own = {"provider": "redis", "address": "own:6379", **same}
    assert admitted(consumer("MCPServer", sessionStorage=own), stored)["spec"]["sessionStorage"] == own


PREFIXED: dict[str, Object] = {
    "a prefix": {"keyPrefix": "own:"},
    "a prefix, and what it is for": {"provider": "redis", "db": 0, "keyPrefix": "own:"},
}


@pytest.mark.parametrize("own", PREFIXED.values(), ids=PREFIXED)
@pytest.mark.parametrize("kind", KEEPERS)
def test_a_key_prefix_stays_in_memory_when_the_storage_goes(kind: str, own: Object) -> None:
    before = consumer(kind, sessionStorageRef="store", sessionStorage=own)
    stored = admitted(before)
    assert stored["spec"]["sessionStorage"]["address"] == "store-valkey.team.svc:6379"
    memory = {**own, "provider": "memory"}

    untargeted = merged(stored, {"metadata": {"annotations": {ANNOTATION_TARGETS: "none"}}})
    left = admitted(untargeted, stored)
    assert left["spec"]["sessionStorage"] == memory
    assert admitted(left, left) == left
    back = admitted(merged(left, {"metadata": {"annotations": {ANNOTATION_TARGETS: "all"}}}), left)
    assert back["spec"]["sessionStorage"] == stored["spec"]["sessionStorage"]

    left = admitted(merged(stored, {"spec": {"sessionStorageRef": None}}), stored)
    assert left["spec"]["sessionStorage"] == memory


@pytest.mark.parametrize("own", PREFIXED.values(), ids=PREFIXED)
def test_a_key_prefix_waits_in_memory_while_proxies_cannot_use_the_storage(own: Object) -> None:
    before = consumer("MCPServer", sessionStorageRef="store", sessionStorage=own)
    first = injection.inject(before, REFERENCE, MANAGED).consumer
    stored = InjectionRecord.of(first)
    unsupported = injection.inject(first, REFERENCE, WITH_USER_NAME, InjectionContext(stored=stored)).consumer
    assert unsupported["spec"]["sessionStorage"] == {**own, "provider": "memory"}
    # The reconciler asks whether the stored object is as it should be; if not, it has it admitted again and again.
    assert injection.inject(unsupported, REFERENCE, WITH_USER_NAME).consumer == unsupported
    again = injection.inject(before, REFERENCE, WITH_USER_NAME).consumer
    assert again["spec"]["sessionStorage"] == unsupported["spec"]["sessionStorage"]
    supported = injection.inject(unsupported, REFERENCE, MANAGED).consumer
    assert supported["spec"]["sessionStorage"] == first["spec"]["sessionStorage"]


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("own", [{"redis": {"dialTimeout": "9s"}}, {"type": "redis", "redis": {"dialTimeout": "9s"}}])
def test_an_auth_server_without_a_store_keeps_nothing_that_its_schema_refuses(kind: str, own: Object) -> None:
    before = with_server(kind, storage={**own, "maxDCRClients": 5})
    stored = admitted(before)
    assert not schema_refusals(stored)
    left = admitted(merged(stored, {"spec": {"sessionStorageRef": None}}), stored)
    assert not schema_refusals(left)
    assert read(left, ("spec", SERVERS[kind], "storage")).get("type", "memory") == "memory"
    assert read(left, ("spec", SERVERS[kind], "storage", "maxDCRClients")) == 5

    unsupported = injection.inject(stored, REFERENCE, WITH_USER_NAME).consumer
    assert not schema_refusals(unsupported)
    assert injection.inject(unsupported, REFERENCE, WITH_USER_NAME).consumer == unsupported
    supported = injection.inject(unsupported, REFERENCE, MANAGED).consumer
    assert read(supported, ("spec", SERVERS[kind], "storage", "redis", "addr")) == "store-valkey.team.svc:6379"


def test_tls_goes_with_the_store_that_it_was_for() -> None:
    system_tls = StorageConnection(Endpoint("there", 6379, 0, is_tls=True), ProxySupport.SYSTEM_TLS, is_external=True)
    before = consumer("MCPServer", sessionStorageRef="store", sessionStorage={"keyPrefix": "own:", "tls": {}})
    injected = injection.inject(before, REFERENCE, system_tls).consumer
    assert injection.remove(injected)["spec"]["sessionStorage"] == {"keyPrefix": "own:", "provider": "memory"}


def test_a_consumer_that_was_never_connected_is_left_as_it_is() -> None:
    strange = consumer("MCPServer", sessionStorage={"keyPrefix": "own:"})
    assert injection.remove(strange) is strange


@pytest.mark.parametrize("own", [{"addr": "own:6379"}, {"aclUserConfig": THEIRS}], ids=["no Secret", "no address"])
def test_half_a_store_is_the_schemas_to_refuse(own: Object) -> None:
    """Nobody may be told that all is well while their data is kept in memory."""
    asked = with_server("VirtualMCPServer", storage={"type": "redis", "redis": own})
    assert read(admitted(asked), ("spec", "authServerConfig", "storage")) == {"type": "redis", "redis": own}
    assert schema_refusals(asked)


def test_a_readmission_makes_of_the_object_what_the_reconciler_expects() -> None:
    own = {"provider": "redis", "address": "store-valkey.team.svc:6379"}
    stored = admitted(consumer("MCPServer", sessionStorageRef="store", sessionStorage=own))
    expected = desired_of_stored(StoredConsumer.of(stored), {}, Target.NONE)
    placeholder = merged(stored, {"metadata": {"annotations": {ANNOTATION_INJECTION: '{"asked":"now"}'}}})
    assert admitted(placeholder, stored, Target.NONE) == expected
