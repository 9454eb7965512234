"""The order of `kubectl apply` does not matter: servers end up connected, and ToolHive's own proxies run."""

from __future__ import annotations

import json

import pytest

from deploy.demo.kube import Kube
from deploy.demo.proxies import Proxies
from tests.e2e.namespaces import SERVERS
from tests.e2e.storages import await_ready, read

CASES = [
    pytest.param("second", "first", 2, id="storage first"),
    pytest.param("ahead", "behind", 1, id="server first"),
    pytest.param("beside", "also-beside", 1, id="both at once"),
]


@pytest.mark.parametrize(("name", "storage", "replicas"), CASES)
def test_a_server_ends_up_connected_and_its_proxies_run(
    servers: dict[str, Proxies], kube: Kube, name: str, storage: str, replicas: int
) -> None:
    await_ready(kube, SERVERS, storage)
    pods = servers[name].await_ready(replicas)
    assert len(pods) == replicas
    session, count = servers[name].open_session(pods[0])
    assert (count, bool(session.id)) == (1, True)


@pytest.mark.parametrize(("name", "storage", "replicas"), CASES)
def test_toolhive_reads_the_store_from_what_the_webhook_wrote(
    servers: dict[str, Proxies], kube: Kube, name: str, storage: str, replicas: int
) -> None:
    servers[name].await_ready(replicas)
    run_config = json.loads(read(kube, "configmap", f"{name}-runconfig", SERVERS)["data"]["runconfig.json"])
    assert run_config["scaling_config"]["session_redis"] == {
        "address": f"{storage}-valkey.{SERVERS}.svc:6379",
        "key_prefix": f"thv:proxy:session:{{{SERVERS}:{name}}}:",
    }


def test_the_backend_has_the_connection_in_its_environment(servers: dict[str, Proxies], kube: Kube) -> None:
    servers["second"].await_ready(2)
    backend = read(kube, "pod", "second-0", SERVERS)
    assert backend["metadata"]["labels"]["toolhive.stacklok.dev/session-storage"] == "first"
    variables = kube.run("exec", "second-0", "-c", "mcp", "--", "sh", "-c", "env | cut -d= -f1", namespace=SERVERS)
    assert {"REDIS_URL", "REDIS_PASSWORD", "SESSION_STORAGE_TYPE"} <= set(variables.split())
