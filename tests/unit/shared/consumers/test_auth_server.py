"""Embedded auth servers: which fields have them keep their data in a storage, and when users' own ones stay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import names
from shared.consumers import injection
from shared.consumers.auth_server import external_auth_config_names, storage_of_auth_server
from shared.consumers.injection import InjectionContext
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.reference import StorageReference
from shared.consumers.removal import remove_fields, unchanged_fields
from shared.consumers.storage_connection import ProxySupport, StorageConnection, connection_to
from shared.consumers.targets import Target
from shared.errors import InvalidSpec
from shared.names import ANNOTATION_AUTH_REVISION, ANNOTATION_INJECTION
from shared.objects.field_path import Draft, read
from shared.objects.resources import Object
from shared.session_storage.endpoint import Endpoint

REFERENCE = StorageReference("team", "store")
ISSUER = {"issuer": "https://tools.example.com"}
SERVERS = {
    "VirtualMCPServer": ("spec", "authServerConfig"),
    "MCPExternalAuthConfig": ("spec", "embeddedAuthServer"),
}
PASSWORD = {"passwordSecretRef": {"name": "store-connection", "key": "REDIS_PASSWORD"}}
TIMEOUTS = {"dialTimeout": "5s", "readTimeout": "3s", "writeTimeout": "3s"}
"""Defaults in ToolHive's schema."""
REDIS = {"addr": "store-valkey.team.svc:6379", "aclUserConfig": PASSWORD, **TIMEOUTS}
CONNECTED = {"type": "redis", "redis": REDIS}


def consumer(kind: str, **server: Any) -> Object:
    return {
        "kind": kind,
        "metadata": {"name": "c", "namespace": "team"},
        "spec": {"sessionStorageRef": "store", SERVERS[kind][1]: {**ISSUER, **server}},
    }


def connected(obj: Object, target: Target = Target.ALL, connection: StorageConnection | None = None) -> Object:
    known = connection or connection_to(REFERENCE, None)
    return injection.inject(obj, REFERENCE, known, InjectionContext(target)).consumer


def kept(obj: Object) -> Any:
    return read(obj, (*SERVERS[obj["kind"]], "storage"))


def external(
    db: int = 0, support: ProxySupport = ProxySupport.PLAIN, *, has_password: bool = True
) -> StorageConnection:
    is_tls = support is not ProxySupport.PLAIN
    return StorageConnection(Endpoint("there", 6379, db, is_tls=is_tls), support, has_password, is_external=True)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("own", [{}, {"storage": {"type": "redis"}}, {"storage": CONNECTED}])
def test_an_auth_server_keeps_its_data_in_the_storage(kind: str, own: Any) -> None:
    before = consumer(kind, **own)
    injected = connected(before)
    assert kept(injected) == CONNECTED
    assert connected(injected) == injected
    assert injection.remove(injected) == before


@pytest.mark.parametrize("kind", SERVERS)
def test_other_settings_of_its_store_stay(kind: str) -> None:
    own = {"type": "redis", "maxDCRClients": 5, "redis": {"dialTimeout": "9s"}}
    before = consumer(kind, storage=own)
    injected = connected(before)
    assert kept(injected) == {**CONNECTED, "maxDCRClients": 5, "redis": {**REDIS, "dialTimeout": "9s"}}
    # Without an address and a password, ToolHive's schema refuses `redis`.
    assert kept(injection.remove(injected)) == {"type": "memory", "maxDCRClients": 5}


@pytest.mark.parametrize("kind", SERVERS)
def test_what_a_later_schema_adds_to_injected_fields_goes_with_them(kind: str) -> None:
    injected = connected(consumer(kind))
    kept(injected)["redis"]["poolTimeout"] = "4s"
    assert kept(injection.remove(injected)) is None
    moved = injection.inject(injected, StorageReference("team", "open"), external(has_password=False)).consumer
    assert kept(moved) is None


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("own", [{}, {"storage": {"type": "redis"}}])
def test_a_release_that_removes_what_the_record_lists_and_no_more_leaves_nothing_behind(kind: str, own: Any) -> None:
    before = consumer(kind, **own)
    injected = connected(before)
    for timeout, value in TIMEOUTS.items():
        kept(injected)["redis"].setdefault(timeout, value)
    record = InjectionRecord.of(injected)
    assert record is not None
    draft = Draft(injected)
    remove_fields(draft, [record], unchanged_fields(injected, [record]))
    assert draft.obj["spec"][SERVERS[kind][1]] == before["spec"][SERVERS[kind][1]]


@pytest.mark.parametrize("kind", SERVERS)
def test_a_timeout_that_somebody_changes_later_is_theirs(kind: str) -> None:
    injected = connected(consumer(kind))
    kept(injected)["redis"]["dialTimeout"] = "9s"
    again = connected(injected)
    assert kept(again)["redis"] == {**REDIS, "dialTimeout": "9s"}
    assert connected(again) == again


@pytest.mark.parametrize(
    "own",
    [
        {"type": "memory"},
        {"type": "redis", "redis": {"addr": "their-redis:6379", "aclUserConfig": PASSWORD}},
        {"type": "redis", "redis": {"sentinelConfig": {"masterName": "m"}, "aclUserConfig": PASSWORD}},
        {"type": "redis", "redis": {**REDIS, "clusterMode": True}},
        {"type": "redis", "redis": {**REDIS, "aclUserConfig": {**PASSWORD, "usernameSecretRef": {"name": "n"}}}},
    ],
)
def test_where_a_virtual_server_keeps_its_users_is_its_owners_choice_and_a_contradiction_elsewhere(own: Any) -> None:
    virtual = connected(consumer("VirtualMCPServer", storage=own))
    assert kept(virtual) == own
    assert read(virtual, ("spec", "sessionStorage", "address")) == REDIS["addr"]
    with pytest.raises(InvalidSpec) as caught:
        connected(consumer("MCPExternalAuthConfig", storage=own))
    (problem,) = caught.value.problems[:1]
    assert problem.startswith("spec.embeddedAuthServer.storage.")
    assert "their-redis" not in str(caught.value)


def test_an_auth_server_leaves_when_its_owner_chooses_memory() -> None:
    injected = connected(consumer("VirtualMCPServer"))
    storage = {"type": "memory", "redis": kept(injected)["redis"]}
    asked = {**injected, "spec": {**injected["spec"], "authServerConfig": {**ISSUER, "storage": storage}}}
    stored = InjectionRecord.of(injected)
    left = injection.inject(asked, REFERENCE, connection_to(REFERENCE, None), InjectionContext(stored=stored)).consumer
    assert kept(left) == {"type": "memory"}


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("target", [Target.BACKEND, Target.NONE])
def test_an_auth_server_is_part_of_the_proxy(kind: str, target: Target) -> None:
    assert kept(connected(consumer(kind), target)) is None


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    "connection",
    [external(db=2), external(has_password=False), external(support=ProxySupport.NO_USER_NAME)],
    ids=["another database", "no password", "a user name"],
)
def test_an_auth_server_is_not_connected_to_a_store_that_it_cannot_use(
    kind: str, connection: StorageConnection
) -> None:
    assert kept(connected(consumer(kind), connection=connection)) is None


@pytest.mark.parametrize("kind", SERVERS)
def test_tls_is_written_as_for_sessions(kind: str) -> None:
    injected = connected(consumer(kind), connection=external(support=ProxySupport.CA_TLS))
    assert kept(injected)["redis"]["tls"] == {"caCertSecretRef": {"name": "store-connection", "key": "ca.crt"}}


def test_an_auth_config_gets_nothing_that_its_kind_does_not_have() -> None:
    spec = connected(consumer("MCPExternalAuthConfig"))["spec"]
    assert spec.keys() == {"sessionStorageRef", "embeddedAuthServer"}


def test_an_auth_config_without_an_auth_server_has_nothing_to_keep() -> None:
    other = {"kind": "MCPExternalAuthConfig", "metadata": {"name": "c", "namespace": "team"}, "spec": {}}
    with pytest.raises(InvalidSpec, match=r"^spec\.embeddedAuthServer: Required value"):
        connected(other)


def test_a_virtual_server_without_an_auth_server_gets_none() -> None:
    plain = {"kind": "VirtualMCPServer", "metadata": {"name": "c", "namespace": "team"}, "spec": {}}
    assert "authServerConfig" not in connected(plain)["spec"]


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    ("addr", "storage"),
    [
        ("store-valkey.team.svc:6379", ("team", "store")),
        ("store-valkey.team.svc.cluster.local:6379", ("team", "store")),
        ("a-valkey-valkey.team.svc:6379", ("team", "a-valkey")),
        ("store-valkey.team.svcs:6379", None),
        pytest.param("store-valkey.far:6379", ("far", "store"), id="a resolver completes a namespace"),
        pytest.param("store-valkey:6379", ("team", "store"), id="a bare name is of the pod's namespace"),
        ("store-valkey.team.svc.cluster.local.:6379", ("team", "store")),
        ("Store-Valkey.team.svc:6379", ("team", "store")),
        ("store-valkey.team.example:6379", None),
        ("their-redis.team.svc:6379", None),
        ("their-redis.team:6379", None),
        ("their-redis:6379", None),
        ("", None),
        (7, None),
    ],
)
def test_the_address_tells_in_which_storage_an_auth_server_keeps_its_data(kind: str, addr: Any, storage: Any) -> None:
    described = consumer(kind, storage={"type": "redis", "redis": {"addr": addr}})
    assert storage_of_auth_server(described) == storage
    assert storage_of_auth_server(consumer(kind, storage={"type": "memory", "redis": {"addr": addr}})) is None


@pytest.mark.parametrize("obj", [{}, {"kind": "MCPServer", "spec": {}}, {"kind": "VirtualMCPServer"}])
def test_other_objects_describe_no_auth_server(obj: Object) -> None:
    assert storage_of_auth_server(obj) is None


STAMP = "r2@2026-11-23T12:00:00Z"
PODS = ("spec", "resourceOverrides", "proxyDeployment", "podTemplateMetadataOverrides", "annotations")


def host(kind: str = "MCPServer", stamp: str | None = STAMP, **spec: Any) -> Object:
    annotations = {"own": "x"} | ({} if stamp is None else {ANNOTATION_AUTH_REVISION: stamp})
    return {"kind": kind, "metadata": {"name": "h", "namespace": "team", "annotations": annotations}, "spec": spec}


@pytest.mark.parametrize("kind", ["MCPServer", "MCPRemoteProxy"])
def test_the_stamp_of_a_host_gets_to_its_proxys_pods_though_it_refers_to_no_storage(kind: str) -> None:
    stamped = injection.remove(host(kind))
    assert read(stamped, PODS) == {ANNOTATION_AUTH_REVISION: "r2"}
    assert stamped["spec"].keys() == {"resourceOverrides"}
    assert ANNOTATION_INJECTION not in stamped["metadata"]["annotations"]
    assert injection.remove(stamped) == stamped
    later = {**stamped, "metadata": host(kind, stamp="r3@2026-11-23T13:00:00Z")["metadata"]}
    assert read(injection.remove(later), PODS) == {ANNOTATION_AUTH_REVISION: "r3"}
    without = {**stamped, "metadata": host(kind, stamp=None)["metadata"]}
    assert read(injection.remove(without), PODS) == {}


def test_the_stamp_stays_beside_that_of_another_storage() -> None:
    both = host(sessionStorageRef="store")
    both["metadata"]["annotations"][names.ANNOTATION_REVISION] = "r7@2026-11-23T12:00:00Z"
    injected = connected(both)
    assert read(injected, PODS) == {ANNOTATION_AUTH_REVISION: "r2", names.ANNOTATION_REVISION: "r7"}
    assert connected(injected) == injected


def test_a_virtual_server_whose_auth_server_was_connected_by_hand_is_stamped_too() -> None:
    stamped = injection.remove(host("VirtualMCPServer"))
    assert stamped["spec"] == {"podTemplateSpec": {"metadata": {"annotations": {ANNOTATION_AUTH_REVISION: "r2"}}}}


def test_an_auth_config_has_no_pods_to_stamp() -> None:
    assert injection.remove(host("MCPExternalAuthConfig"))["spec"] == {}


@pytest.mark.parametrize("stamp", ["", "r2", 'r"2@2026-11-23T12:00:00Z', json.dumps({"r": 2})])
def test_what_the_reconciler_cannot_have_written_is_no_stamp(stamp: str) -> None:
    assert injection.remove(host(stamp=stamp))["spec"] == {}


def test_a_host_names_its_auth_configs_in_two_ways() -> None:
    both = host(authServerRef={"kind": "MCPExternalAuthConfig", "name": "a"}, externalAuthConfigRef={"name": "b"})
    assert external_auth_config_names(both) == {"a", "b"}
    assert external_auth_config_names(host()) == frozenset()
