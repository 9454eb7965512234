"""The reconciler restores what somebody deletes or edits by hand, and another leader completes what one began."""

from __future__ import annotations

import pytest

from deploy.demo import installation
from deploy.demo.installation import NAMESPACE
from deploy.demo.kube import Kube, until
from tests.e2e.conftest import Run
from tests.e2e.leader import TAKEOVER_SECONDS, kill_leader
from tests.e2e.namespaces import STORAGES
from tests.e2e.storages import await_ready, children, expected_children, has_one_password, read, storage

pytestmark = pytest.mark.usefixtures("servers")
REPAIR_SECONDS = 30
SET = "StatefulSet/fixed-valkey-0"


EDITS = [
    ("networkpolicy", "fixed-valkey", '{"spec":{"ingress":[{}]}}'),
    ("configmap", "fixed-valkey", '{"data":{"valkey.conf":"appendonly no"}}'),
    ("service", "fixed-valkey", '{"spec":{"selector":{"toolhive.stacklok.dev/node":"7"}}}'),
    ("endpointslice", "fixed-valkey", '{"endpoints":[{"addresses":["192.0.2.1"]}]}'),
    ("endpointslice", "fixed-valkey", '{"metadata":{"labels":{"toolhive.stacklok.dev/node":"7"}}}'),
    ("statefulset", "fixed-valkey-0", '{"spec":{"replicas":0}}'),
    ("secret", "fixed-connection", '{"data":{"REDIS_PASSWORD":"bm9uc2Vuc2U="}}'),
]


@pytest.fixture(scope="module")
def fixed(kube: Kube) -> Kube:
    kube.apply(storage("fixed", STORAGES, size="small"))
    await_ready(kube, STORAGES, "fixed")
    return kube


@pytest.mark.parametrize("child", sorted(expected_children("fixed") - {SET}))
def test_a_deleted_child_comes_back(fixed: Kube, child: str) -> None:
    kind, _, name = child.partition("/")
    uid = read(fixed, kind, name, STORAGES)["metadata"]["uid"]
    fixed.run("delete", kind, name, "--wait=false", namespace=STORAGES)

    def is_new() -> bool:
        found = fixed.get(kind, name, STORAGES)
        return found is not None and found["metadata"]["uid"] != uid

    until(f"{child} is back", is_new, REPAIR_SECONDS)
    assert children(fixed, "fixed", STORAGES) == expected_children("fixed")
    assert has_one_password(fixed, "fixed", STORAGES)


@pytest.mark.parametrize(("kind", "name", "patch"), EDITS)
def test_an_edited_child_is_repaired(fixed: Kube, kind: str, name: str, patch: str) -> None:
    def content() -> tuple[object, ...]:
        found = read(fixed, kind, name, STORAGES)
        return found.get("spec"), found.get("data"), found.get("endpoints"), found["metadata"]["labels"]

    before = content()
    fixed.run("patch", kind, name, "--type=merge", f"--patch={patch}", namespace=STORAGES)
    until(f"{kind} {name} is as before", lambda: content() == before, REPAIR_SECONDS)


def test_the_only_instance_moves_when_somebody_deletes_its_stateful_set(fixed: Kube) -> None:
    fixed.run("delete", SET, "--wait=false", namespace=STORAGES)
    moved = expected_children("fixed", 1)
    until("another instance is the only one", lambda: children(fixed, "fixed", STORAGES) == moved, REPAIR_SECONDS)


def test_after_all_repairs_the_storage_is_ready(fixed: Kube) -> None:
    await_ready(fixed, STORAGES, "fixed")


@pytest.mark.parametrize("seen", ["secret/{}-auth", "statefulset/{}-valkey-0", "pod/{}-valkey-0-0"])
def test_the_leader_may_die_while_it_provisions(run: Run, seen: str) -> None:
    kind, _, pattern = seen.partition("/")
    name = f"orphan-{kind}"
    run.kube.apply(storage(name, STORAGES, size="small"))
    until(f"{kind} exists", lambda: run.kube.get(kind, pattern.format(name), STORAGES), REPAIR_SECONDS)
    kill_leader(run)
    await_ready(run.kube, STORAGES, name, TAKEOVER_SECONDS)
    assert children(run.kube, name, STORAGES) == expected_children(name)
    assert has_one_password(run.kube, name, STORAGES)


def test_both_processes_are_ready_again(kube: Kube) -> None:
    for process in installation.PROCESSES:
        kube.run("rollout", "status", f"deployment/{process}", "--timeout=60s", namespace=NAMESPACE)
