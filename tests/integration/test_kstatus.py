"""Flux, Helm 4 and `kubectl wait` know when a storage is what its spec asks for, and when a person has to act.

The first test needs no API server. The program that runs the real kstatus takes about a minute to build, once.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.plan.change import Change, updating
from reconciler.plan.hindrance import Hindrance
from reconciler.plan.status import status_of
from reconciler.plan.verdict import Verdict
from shared.objects.conditions import Finding
from shared.objects.resources import SESSION_STORAGES, Object
from shared.session_storage.status import Phase
from tests.integration.control_plane import Kubectl
from tests.integration.kstatus import kstatus
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, await_reason, read, storage
from tests.support import storages
from tests.support.storages import NOW

NEW: Object = storage("mine", "team") | {"metadata": {"name": "mine", "namespace": "team", "uid": "u", "generation": 3}}
READY = Verdict(Phase.READY, "StorageReady", "Storage is ready and secured", is_ready=True)
STARTING = Verdict(Phase.PROVISIONING, "Starting", "Valkey is starting")
CHANGE = Change((0, 1), (), updating("True", "Adding", "one instance more"))
REFUSED = Finding("ChangesAccepted", "False", "ApplyRefused", "a quota")
EXTERNAL = {"url": "redis://nobody.invalid:6379", "secretRef": "absent"}
CASES = {
    "ready": (READY, "Current"),
    "rotating": (replace(READY, phase=Phase.ROTATING), "Current"),
    "starting": (STARTING, "InProgress"),
    "changing": (READY.changing(CHANGE, storages.state_of(NEW).storage), "InProgress"),
    "without a replica": (READY.hindered(Hindrance("Unschedulable", "no node takes it")), "InProgress"),
    "silent": (Verdict(Phase.DEGRADED, "Unreachable", "does not answer"), "InProgress"),
    "without its secret": (Verdict(Phase.PENDING, "SecretNotFound", "create it"), "InProgress"),
    "invalid": (Verdict.invalid("spec.size: bad"), "Failed"),
    "name taken": (Verdict.name_taken(["Secret mine-auth"]), "Failed"),
    "to be adopted": (Verdict.adoption_needed(["Secret mine-auth"], "kubectl"), "Failed"),
    "refused": (STARTING.refused(REFUSED, is_vital=True), "Failed"),
    "refused in part": (READY.refused(REFUSED, is_vital=False), "Failed"),
}


def judged(verdict: Verdict, **metadata: object) -> Object:
    """Build the storage with the status that the reconciler writes of a verdict."""
    status, _ = status_of(storages.state_of(NEW), verdict, NOW)
    return {**NEW, "metadata": {**NEW["metadata"], **metadata}, "status": status}


def test_kstatus_reads_every_lasting_state_of_a_storage() -> None:
    found = kstatus([judged(verdict) for verdict, _ in CASES.values()])
    assert dict(zip(CASES, found, strict=True)) == {name: expected for name, (_, expected) in CASES.items()}


def test_a_change_that_nobody_has_seen_is_in_progress_and_a_deletion_is_told_as_such() -> None:
    changed, deleted = judged(READY, generation=4), judged(READY, deletionTimestamp="2026-11-23T12:00:00Z")
    assert kstatus([changed, deleted]) == ["InProgress", "Terminating"]


def test_a_storage_that_no_reconciler_has_seen_is_in_progress(
    kubectl: Kubectl, namespace: str, processes: dict[str, Process]
) -> None:
    reconciler = processes["reconciler"]
    reconciler.kill()
    try:
        made = kubectl.api.create(storage("mine", namespace, external=EXTERNAL))
        found = read(kubectl, "sessionstorage", "mine", namespace)
    finally:
        reconciler.start()
        reconciler.await_ready()
    assert found["status"] == {"observedGeneration": -1}
    assert kstatus([made, found]) == ["InProgress", "InProgress"]


@pytest.mark.usefixtures("kubelet")
def test_a_storage_becomes_current_and_after_a_change_current_again(
    kubectl: Kubectl, namespace: str, processes: dict[str, Process]
) -> None:
    def status() -> list[str]:
        return kstatus([read(kubectl, "sessionstorage", "mine", namespace)])

    processes["reconciler"].await_ready()
    kubectl.api.create(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    eventually(lambda: status() == ["Current"], what="the storage is current")
    kubectl("wait", "--for=condition=Ready", "sessionstorage/mine", "-n", namespace, "--timeout=10s")
    changed = kubectl.api.change(SESSION_STORAGES, namespace, "mine", {"spec": {"allowedNamespaces": ["*"]}})
    assert kstatus([changed]) == ["InProgress"]
    eventually(lambda: status() == ["Current"], what="the storage is current again")


def test_a_storage_whose_name_is_taken_has_failed_until_the_name_is_free(
    kubectl: Kubectl, namespace: str, processes: dict[str, Process]
) -> None:
    processes["reconciler"].await_ready()
    taken = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine-auth", "namespace": namespace}}
    kubectl.api.create(taken)
    kubectl.api.create(storage("mine", namespace, size="small"))
    await_reason(kubectl, namespace, "mine", "NameTaken")
    assert kstatus([read(kubectl, "sessionstorage", "mine", namespace)]) == ["Failed"]
    kubectl("wait", "--for=condition=Stalled", "sessionstorage/mine", "-n", namespace, "--timeout=10s")
    kubectl("delete", "secret", "mine-auth", "-n", namespace)
    eventually(
        lambda: kstatus([read(kubectl, "sessionstorage", "mine", namespace)]) == ["InProgress"], what="it goes on"
    )
