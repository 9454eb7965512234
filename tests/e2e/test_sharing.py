"""The proposal's production set-up: another namespace uses a storage, with the right and for as long as it lasts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.demo import samples, storages
from deploy.demo.installation import RELEASE
from deploy.demo.kube import Kube, Object, until
from deploy.demo.proxies import Proxies
from shared import names
from tests.e2e import clients
from tests.e2e.conftest import Run
from tests.e2e.namespaces import OWNERS, STRANGERS, TEAM, TOOLHIVE
from tests.e2e.storages import await_ready, read, secret, server, storage

RBAC: Final = "rbac.authorization.k8s.io"
USER: Final = "session-storage-e2e-member"
"""A person: the right of a service account would not count."""
MEMBER: Final = {"kind": "User", "name": USER, "apiGroup": RBAC}
AS_MEMBER: Final = f"--as={USER}"
BINDING: Final = "session-storage-e2e-team"
SERVER: Final = "production-server"
COPY: Final = f"{TOOLHIVE}.prod-storage-connection"
HOST: Final = f"prod-storage-valkey.{TOOLHIVE}.svc"
SOON: Final = 30


@pytest.fixture(scope="module")
def team(run: Run) -> Iterator[Kube]:
    """Create a user who may do everything to servers in one namespace, and nothing in any other."""
    kube = run.kube
    prod_storage, _ = samples.load(samples.SAMPLES / "02-production.yaml", run.images, TEAM)
    role = binding("member", TEAM, {"kind": "Role", "name": "member"})
    kube.apply(prod_storage, servers_role(), role)
    await_ready(kube, TOOLHIVE, "prod-storage")
    yield kube
    kube.run("delete", "rolebinding", BINDING, "--ignore-not-found", namespace=TOOLHIVE)


def servers_role() -> Object:
    rule = {"apiGroups": ["toolhive.stacklok.dev"], "resources": ["mcpservers"], "verbs": ["*"]}
    metadata = {"name": "member", "namespace": TEAM}
    return {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}


def binding(name: str, namespace: str, role: dict[str, str]) -> Object:
    """Bind a role to the team's user."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, **role},
        "subjects": [MEMBER],
    }


def create_as_member(kube: Kube, wanted: Object) -> str:
    """Create an object as the team's user; return why it is refused, empty if it is not."""
    return kube.refusal("create", AS_MEMBER, "-f", "-", stdin=json.dumps(wanted))


def production_server(run: Run) -> Object:
    """Return the proposal's server, with the transport that the image speaks."""
    _, wanted = samples.load(samples.SAMPLES / "02-production.yaml", run.images, TEAM)
    wanted["spec"]["transport"] = "streamable-http"
    return wanted


def has(kube: Kube, kind: str, name: str) -> bool:
    return kube.get(kind, name, TEAM) is not None


def resolution(kube: Kube, name: str) -> str | None:
    """Return the reason of a server's condition about its storage, if it has the condition."""
    return storages.condition(read(kube, "mcpservers", name, TEAM), "SessionStorageResolved").get("reason")


def test_without_the_right_the_refusal_names_it(run: Run, team: Kube) -> None:
    said = create_as_member(team, production_server(run))
    assert f'user "{USER}" may not use SessionStorage "{TOOLHIVE}/prod-storage"' in said
    assert "--verb=use --resource=sessionstorages.toolhive.stacklok.dev --resource-name=prod-storage" in said
    assert f"--role=use-prod-storage --user={USER}" in said
    assert not has(team, "mcpservers", SERVER)
    assert not has(team, "secret", COPY)


def test_with_the_right_the_server_gets_a_copy_of_the_connection(run: Run, team: Kube) -> None:
    team.apply(binding(BINDING, TOOLHIVE, {"kind": "ClusterRole", "name": f"{RELEASE}-use"}))
    until("the API server knows the right", lambda: create_as_member(team, production_server(run)) == "", 10)
    until("the copy is there", lambda: has(team, "secret", COPY), SOON)
    original = secret(team, "prod-storage-connection", TOOLHIVE)
    is_equal = secret(team, COPY, TEAM) == original
    assert is_equal
    labels = read(team, "secret", COPY, TEAM)["metadata"]["labels"]
    assert labels[names.LABEL_STORAGE_NAMESPACE] == TOOLHIVE


def test_the_servers_proxies_keep_their_sessions_in_the_shared_storage(run: Run, team: Kube) -> None:
    proxies = Proxies(team, SERVER, TEAM)
    (pod,) = proxies.await_ready(1)
    session, _ = proxies.open_session(pod)
    (pod,) = proxies.restart()
    assert proxies.count(pod, session) == 2
    team.apply(clients.client("reader", TEAM, run.images, COPY))
    clients.await_client(team, "reader", TEAM)
    prefix = names.key_prefix("MCPServer", TEAM, SERVER)
    assert any(key.startswith(prefix) for key in clients.keys(team, "reader", TEAM, HOST))


def test_a_namespace_without_a_consumer_cannot_reach_the_storage(run: Run, team: Kube) -> None:
    team.apply(clients.client("passes-for-a-proxy", STRANGERS, run.images))
    clients.await_client(team, "passes-for-a-proxy", STRANGERS)
    assert clients.ask(team, "passes-for-a-proxy", STRANGERS, HOST, "ping") == ""
    assert clients.ask(team, "reader", TEAM, HOST, "ping") == "PONG"


def test_the_right_is_checked_only_when_the_reference_is_made(team: Kube) -> None:
    """ToolHive's operator and others who change the server later need no right of their own."""
    team.run("delete", "rolebinding", BINDING, namespace=TOOLHIVE)
    scaled = ("--type=merge", '--patch={"spec":{"replicas":1}}')
    team.run("patch", "mcpservers", SERVER, AS_MEMBER, *scaled, namespace=TEAM)
    native = read(team, "mcpservers", SERVER, TEAM)["spec"]["sessionStorage"]
    assert native["passwordRef"]["name"] == COPY


def test_the_copy_goes_with_the_last_consumer(team: Kube) -> None:
    team.run("delete", "pod", "reader", namespace=TEAM)
    team.run("delete", "mcpservers", SERVER, "--timeout=60s", namespace=TEAM)
    until("the copy is gone", lambda: not has(team, "secret", COPY), SOON)


def test_an_owner_can_share_with_a_namespace_and_end_that(run: Run, team: Kube) -> None:
    team.apply(storage("open", OWNERS, size="small", allowedNamespaces=[TEAM]))
    reference = {"name": "open", "namespace": OWNERS}
    wanted = server("guest", TEAM, run.images.mcp_server, sessionStorageRef=reference)
    until("the webhook knows that the storage is shared", lambda: create_as_member(team, wanted) == "", 10)
    copy = f"{OWNERS}.open-connection"
    until("the copy is there", lambda: has(team, "secret", copy), SOON)
    Proxies(team, "guest", TEAM).await_ready(1)
    closed = ("--type=merge", '--patch={"spec":{"allowedNamespaces":[]}}')
    team.run("patch", storages.KIND, "open", *closed, namespace=OWNERS)
    until("the copy is gone", lambda: not has(team, "secret", copy), SOON)
    until("the condition says NotPermitted", lambda: resolution(team, "guest") == "NotPermitted", SOON)
    team.apply(storage("open", OWNERS, size="small", allowedNamespaces=["*"]))
    until("the copy is back", lambda: has(team, "secret", copy), SOON)
    until("the condition says Resolved", lambda: resolution(team, "guest") == "Resolved", SOON)


def test_a_storage_in_use_cannot_be_deleted_and_its_consumers_are_named(team: Kube) -> None:
    said = team.refusal("delete", storages.KIND, "open", "--timeout=20s", namespace=OWNERS)
    assert f"MCPServer {TEAM}/guest" in said
    assert "toolhive.stacklok.dev/force-delete=true" in said


def test_a_namespace_with_a_storage_in_use_can_be_deleted_and_its_copies_go(team: Kube) -> None:
    team.run("delete", "namespace", OWNERS, "--timeout=90s")
    until("the copy is gone", lambda: not has(team, "secret", f"{OWNERS}.open-connection"), SOON)
    until("the condition says StorageNotFound", lambda: resolution(team, "guest") == "StorageNotFound", SOON)
    events = team.items("events", TEAM, "--field-selector=involvedObject.name=guest,reason=StorageNotFound")
    assert len(events) == 1


def test_force_deletes_a_storage_in_use(run: Run, team: Kube) -> None:
    team.apply(
        storage("forced", TEAM, size="small"),
        server("stays", TEAM, run.images.mcp_server, sessionStorageRef="forced"),
    )
    await_ready(team, TEAM, "forced")
    assert "stays" in team.refusal("delete", storages.KIND, "forced", namespace=TEAM)
    team.run("annotate", storages.KIND, "forced", f"{names.ANNOTATION_FORCE_DELETE}=true", namespace=TEAM)
    team.run("delete", storages.KIND, "forced", "--timeout=30s", namespace=TEAM)
    team.run("delete", "mcpservers", "--all", "--timeout=60s", namespace=TEAM)
