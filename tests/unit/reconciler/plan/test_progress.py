"""Which storages are still on their way to what their spec asks for, and which of them wait for a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from reconciler.credentials import identities
from reconciler.failover.decision import FailoverBlocked, KeepPrimary, LookAgain
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.plan.change import Change, updating
from reconciler.plan.external_storage import HANDED_ON
from reconciler.plan.external_storage import judge as judge_external
from reconciler.plan.health import SIZE_APPLIED, judge
from reconciler.plan.hindrance import REDUNDANT, Hindrance
from reconciler.plan.progress import RECONCILING, STALLED, progress
from reconciler.plan.status import status_of
from reconciler.plan.verdict import Verdict
from reconciler.state.external_secret import ExternalConnection, SecretProblem, connection_of_user
from reconciler.state.external_store import DialResult, ExternalFacts, Outcome
from reconciler.state.instance import Instance
from shared.objects.conditions import Finding
from shared.objects.resources import Object
from shared.session_storage.models import External
from shared.session_storage.sizes import PRESETS, Size
from shared.session_storage.status import Phase
from tests.support import storages
from tests.support.storages import NOW

READY = Verdict(Phase.READY, "StorageReady", "Storage is ready and secured", is_ready=True)
STARTING = Verdict(Phase.PROVISIONING, "Starting", "Valkey is starting")
ROTATING = Finding("CredentialRotated", "False", "AwaitConsumers", "1 of 2 consumers")
REFUSED = Finding("ChangesAccepted", "False", "ApplyRefused", "a quota")
CHANGE = Change((0, 1), (), updating("True", "Adding", "one instance more"))
NO_ROOM = Change((0,), (), updating("True", "NoRoom", "no node takes it"))
OVER = Change((0,))
STORAGE = storages.observed().storage
STORE = External.model_validate({"url": "redis://there:6379", "secretRef": "theirs"})
CROWDED = READY.hindered(Hindrance("Unschedulable", "no node takes it"))
PASSING = {
    *(Outcome.DNS, Outcome.REFUSED, Outcome.TIMEOUT, Outcome.FULL, Outcome.READ_ONLY, Outcome.LOADING, Outcome.BUSY),
    *(Outcome.CANNOT_SAVE, Outcome.OUT_OF_MEMORY, Outcome.NO_REPLICAS, Outcome.UNUSABLE),
}


def told(verdict: Verdict) -> tuple[str, str] | None:
    found = progress(verdict)
    return (found.type, found.reason) if found is not None else None


def with_finding(kind: str, status: Literal["True", "False"]) -> Verdict:
    return replace(READY, also=(Finding(kind, status, "Why", "because"),))


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (READY, None),
        (replace(READY, phase=Phase.ROTATING, also=(ROTATING,)), None),
        (READY.changing(OVER, STORAGE), None),
        (STARTING, (RECONCILING, "Starting")),
        (Verdict(Phase.DEGRADED, "Unreachable", "does not answer"), (RECONCILING, "Unreachable")),
        (READY.changing(CHANGE, STORAGE), (RECONCILING, "Adding")),
        (READY.changing(NO_ROOM, STORAGE), (RECONCILING, "NoRoom")),
        (CROWDED, (RECONCILING, "Unschedulable")),
        (with_finding(SIZE_APPLIED, "False"), (RECONCILING, "Why")),
        (with_finding(REDUNDANT, "False"), (RECONCILING, "Why")),
        (with_finding(REDUNDANT, "True"), None),
        (with_finding(HANDED_ON, "False"), (RECONCILING, "Why")),
        (with_finding("ConsumersAdmitted", "False"), None),
        (Verdict.invalid("spec.size: bad"), (STALLED, "InvalidSpec")),
        (Verdict.name_taken(["Secret mine-auth"]), (STALLED, "NameTaken")),
        (Verdict.name_taken(["Secret mine-auth"], is_leaving=True), (RECONCILING, "NameTaken")),
        (Verdict.adoption_needed(["Secret mine-auth"], "kubectl"), (STALLED, "AdoptionNeeded")),
        (STARTING.refused(REFUSED, is_vital=True), (STALLED, "ApplyRefused")),
        (STARTING.refused(REFUSED, is_vital=False), (STALLED, "ApplyRefused")),
        (READY.refused(REFUSED, is_vital=False), (STALLED, "ApplyRefused")),
        (CROWDED.refused(REFUSED, is_vital=False), (RECONCILING, "Unschedulable")),
    ],
)
def test_a_storage_stalls_if_a_person_must_act_and_is_reconciling_if_anything_else_is_left(
    verdict: Verdict, expected: tuple[str, str] | None
) -> None:
    assert told(verdict) == expected


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (FailoverBlocked("PrimaryMayServe", "ask a person"), (STALLED, "PrimaryMayServe")),
        (LookAgain(1, "PrimarySilent", "it stops by itself"), (RECONCILING, "PrimarySilent")),
        (KeepPrimary("OnlyInstance", "does not answer"), (RECONCILING, "Provisioning")),
    ],
    ids=["blocked", "undecided", "kept"],
)
def test_only_a_failover_that_waits_for_a_persons_consent_stalls(
    decision: FailoverBlocked | LookAgain | KeepPrimary, expected: tuple[str, str]
) -> None:
    before = storages.observed("large", Instance(0), *storages.instances(Size.LARGE)[1:])
    assert before.storage.spec is not None
    group = ReplicationGroup.of(before, PRESETS[Size.LARGE])
    assert told(judge(before, before.storage.spec, group, decision, NOW)) == expected


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.OK])
@pytest.mark.parametrize("published", [None, DialResult(Outcome.OK)], ids=["nothing published", "published works"])
def test_a_store_stalls_its_storage_if_it_cannot_come_right_by_itself(
    outcome: Outcome, published: DialResult | None
) -> None:
    connection = connection_of_user(STORE, "team", {"data": identities.encoded({"password": "p"})})
    assert isinstance(connection, ExternalConnection)
    facts = ExternalFacts(connection, dialled=DialResult(outcome, "said so"), dialled_as_published=published)
    verdict = judge_external(STORE, facts, was_ready=False, connection_secret="")
    assert verdict.is_ready is (published is not None)
    assert told(verdict) == (RECONCILING if outcome in PASSING else STALLED, outcome)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [(None, "SecretNotFound"), ({"data": {}}, "SecretKeyMissing")],
    ids=["no Secret", "no key"],
)
def test_a_secret_that_is_missing_may_be_on_its_way(secret: Object | None, reason: str) -> None:
    problem = connection_of_user(STORE, "team", secret)
    assert isinstance(problem, SecretProblem)
    facts = ExternalFacts(problem=problem)
    assert told(judge_external(STORE, facts, was_ready=False, connection_secret="")) == (RECONCILING, reason)


def test_a_storage_at_rest_has_neither_condition_and_an_hour_of_looks_writes_nothing() -> None:
    state = storages.observed()
    status, _ = status_of(state, READY, NOW)
    assert status is not None
    assert {item["type"] for item in status["conditions"]} & {RECONCILING, STALLED} == set()
    settled = storages.settled(state, status)
    for minute in range(60):
        assert status_of(settled, READY, NOW + timedelta(minutes=minute)) == (None, ())


def test_neither_condition_causes_an_event_of_its_own() -> None:
    _, events = status_of(storages.observed(), STARTING, NOW)
    assert [event.reason for event in events] == ["Starting"]
    ready, _ = status_of(storages.observed(), READY, NOW)
    _, events = status_of(storages.settled(storages.observed(), ready), READY.refused(REFUSED, is_vital=False), NOW)
    assert [event.reason for event in events] == ["ApplyRefused"]
