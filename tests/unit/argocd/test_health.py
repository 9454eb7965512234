"""What Argo CD tells of a storage, by the script in `deploy/argocd`, run in the Lua whose version Argo CD speaks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.plan.change import Change, updating
from reconciler.plan.hindrance import Hindrance
from reconciler.plan.status import status_of
from reconciler.plan.verdict import Verdict
from shared.objects.conditions import Finding
from shared.objects.resources import Object
from shared.session_storage.status import Phase
from tests.support import argocd, storages
from tests.support.storages import NOW

READY = Verdict(Phase.READY, "StorageReady", "Storage is ready and secured", is_ready=True)
STARTING = Verdict(Phase.PROVISIONING, "Starting", "Valkey is starting")
CHANGE = Change((0, 1), (), updating("True", "Adding", "one instance more"))
REFUSED = Finding("ChangesAccepted", "False", "ApplyRefused", "a quota")
UNSEEN = "the reconciler has not seen the newest change of this storage yet"
METADATA = {"name": "mine", "namespace": "team", "uid": "u", "generation": 3}
NEW: Object = {
    "apiVersion": "toolhive.stacklok.dev/v1alpha1",
    "kind": "SessionStorage",
    "metadata": METADATA,
    "spec": {},
    "status": {"observedGeneration": -1},
}


CHANGING = READY.changing(CHANGE, storages.state_of(NEW).storage)


def judged(verdict: Verdict) -> Object:
    """Build the storage with the status that the reconciler writes of a verdict."""
    status, _ = status_of(storages.state_of(NEW), verdict, NOW)
    assert status is not None
    return {**NEW, "status": status}


@pytest.mark.parametrize(
    ("verdict", "health"),
    [
        (READY, "Healthy"),
        (STARTING, "Progressing"),
        (Verdict(Phase.PENDING, "SecretNotFound", "Secret theirs does not exist"), "Progressing"),
        (CHANGING, "Progressing"),
        (replace(READY, phase=Phase.ROTATING), "Healthy"),
        (READY.hindered(Hindrance("Unschedulable", "no node takes it")), "Degraded"),
        (Verdict(Phase.DEGRADED, "Unreachable", "does not answer"), "Degraded"),
        (Verdict.invalid("spec.size: bad"), "Degraded"),
        (Verdict.name_taken(["Secret mine-auth"]), "Degraded"),
        (Verdict.name_taken(["Secret mine-auth"], is_leaving=True), "Progressing"),
        (Verdict.adoption_needed(["Secret mine-auth"], "kubectl"), "Degraded"),
        (STARTING.refused(REFUSED, is_vital=True), "Degraded"),
        (READY.refused(REFUSED, is_vital=False), "Degraded"),
    ],
    ids=lambda value: f"{value.phase}-{value.reason}" if isinstance(value, Verdict) else value,
)
def test_health_follows_the_status_and_repeats_its_message(verdict: Verdict, health: str) -> None:
    storage = judged(verdict)
    assert argocd.health(storage) == (health, storage["status"]["message"])


@pytest.mark.parametrize("status", [{"observedGeneration": -1}, None], ids=["default", "none"])
def test_a_storage_that_no_reconciler_has_seen_is_progressing(status: Object | None) -> None:
    storage = {**NEW, "status": status} if status else {key: value for key, value in NEW.items() if key != "status"}
    assert argocd.health(storage) == ("Progressing", UNSEEN)


def test_a_ready_storage_whose_spec_has_just_changed_is_progressing() -> None:
    storage = judged(READY)
    changed = {**storage, "metadata": {**METADATA, "generation": 4}}
    assert argocd.health(changed)[0] == "Progressing"


def test_a_storage_that_is_being_deleted_is_progressing() -> None:
    storage = judged(READY)
    deleted = {**storage, "metadata": {**METADATA, "deletionTimestamp": "2026-11-23T12:00:00Z"}}
    assert argocd.health(deleted) == ("Progressing", "the storage is being deleted")
