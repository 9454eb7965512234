"""Which auth servers keep their data in a storage, and what runs them."""

from __future__ import annotations

from typing import Any

from reconciler.controllers.auth_servers import AuthServers
from shared.consumers.toolhive import CONSUMER_RESOURCES
from shared.kubernetes.informer import Informer
from shared.objects.resources import Object
from tests.support.fakes import FakeApi

STORAGE = {"type": "redis", "redis": {"addr": "mine-valkey.team.svc:6379"}}


def made(kind: str, name: str, namespace: str = "team", **spec: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": f"{kind}-{name}", "resourceVersion": "1"}
    return {"kind": kind, "metadata": metadata, "spec": spec}


def auth_servers(*objects: Object) -> AuthServers:
    api = FakeApi()
    caches = {resource.kind: Informer(api, resource) for resource in CONSUMER_RESOURCES}
    known = AuthServers(caches)
    for obj in objects:
        caches[obj["kind"]].remember(obj)
    return known


def called(objects: list[Object]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


CONFIG = made("MCPExternalAuthConfig", "login", embeddedAuthServer={"storage": STORAGE})
VIRTUAL = made("VirtualMCPServer", "tools", authServerConfig={"storage": STORAGE})


def test_an_auth_server_is_found_by_its_storage_in_namespaces_that_may_use_that() -> None:
    elsewhere = made("VirtualMCPServer", "theirs", "other", authServerConfig={"storage": STORAGE})
    known = auth_servers(CONFIG, VIRTUAL, elsewhere, made("VirtualMCPServer", "plain"))
    assert sorted(called(known.of_storage(("team", "mine"), {"team"}))) == ["login", "tools"]
    assert called(known.of_storage(("team", "mine"), {"other"})) == ["theirs"]
    assert known.of_storage(("team", "another"), {"team"}) == []


def test_a_config_is_run_by_what_names_it_in_its_namespace_and_a_virtual_server_runs_its_own() -> None:
    known = auth_servers(
        CONFIG,
        VIRTUAL,
        made("MCPServer", "by-auth-server", authServerRef={"kind": "MCPExternalAuthConfig", "name": "login"}),
        made("MCPRemoteProxy", "by-external-auth", externalAuthConfigRef={"name": "login"}),
        made("MCPServer", "of-another", externalAuthConfigRef={"name": "other"}),
        made("MCPServer", "elsewhere", "other", externalAuthConfigRef={"name": "login"}),
        made("MCPServer", "without"),
    )
    assert called(known.hosts(CONFIG)) == ["by-auth-server", "by-external-auth"]
    assert known.hosts(VIRTUAL) == [VIRTUAL]
    assert known.hosts(made("MCPServer", "without")) == []
