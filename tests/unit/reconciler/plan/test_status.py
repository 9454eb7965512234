"""What status and Events tell users, and that each change is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.failover.consent import FAILOVER_BLOCKED
from reconciler.failover.decision import Decision, FailoverBlocked, KeepPrimary, LookAgain
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.plan.change import UPDATING, Change
from reconciler.plan.health import AVAILABLE, SIZE_APPLIED, judge
from reconciler.plan.hindrance import REDUNDANT, Hindrance
from reconciler.plan.status import status_of
from reconciler.plan.verdict import Verdict
from reconciler.state.instance import Instance
from reconciler.state.storage_state import StorageState
from shared.objects.conditions import Finding, conditions
from shared.objects.events import EventNote
from shared.objects.resources import Object
from shared.session_storage.sizes import DEFAULT_SIZES, Size
from shared.session_storage.status import InstanceStatus, LastFailover, Phase, SessionStorageStatus
from tests.support import storages
from tests.support.storages import NOW, replicated

LATER = NOW + timedelta(minutes=5)
READY = Verdict(
    Phase.READY,
    "StorageReady",
    "Storage is ready and secured",
    "mine-valkey-0",
    "mine-connection",
    size=Size.SMALL,
    instances=(InstanceStatus(name="mine-valkey-0", role="primary", synced=True, lag_mib=0),),
    wanted=1,
    is_ready=True,
)
MOVED = LastFailover(at=NOW - timedelta(hours=1), reason="PrimaryLost", seconds=0.25)
STARTING = Verdict(Phase.PROVISIONING, "Starting", "Valkey is starting")
BROKEN = Verdict(Phase.DEGRADED, "Starting", "Valkey is starting")


def observed(status: Object | None = None, generation: int = 1) -> StorageState:
    metadata = {"name": "mine", "namespace": "team", "uid": "u", "generation": generation}
    storage = {"metadata": metadata, "spec": {}} | ({"status": status} if status else {})
    return storages.state_of(storage)


def after(verdict: Verdict, status: Object | None = None, generation: int = 1, now: datetime = NOW) -> Object:
    new, _ = status_of(observed(status, generation), verdict, now)
    assert new is not None
    return new


def ready(status: Object) -> Object:
    (condition,) = [item for item in status["conditions"] if item["type"] == "Ready"]
    return dict(condition)


def test_a_status_has_the_fields_of_the_crds_model() -> None:
    status = after(replace(READY, last_failover=MOVED))
    model = SessionStorageStatus.model_validate(status)
    assert model.model_dump(mode="json", by_alias=True, exclude_none=True) == status


def test_the_status_keeps_the_running_size_while_it_cannot_be_observed() -> None:
    assert after(BROKEN, after(READY))["size"] == "small"


def test_an_unchanged_status_is_not_written() -> None:
    assert status_of(observed(after(READY)), READY, LATER) == (None, ())


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = after(STARTING)
    renamed = after(Verdict(Phase.PROVISIONING, "LoadingData", "reads"), first, now=LATER)
    assert ready(renamed)["reason"] == "LoadingData"
    assert ready(renamed)["lastTransitionTime"] == ready(first)["lastTransitionTime"] == "2026-11-23T12:00:00Z"
    turned = after(READY, renamed, now=LATER)
    assert ready(turned)["lastTransitionTime"] == "2026-11-23T12:05:00Z"


def test_a_new_generation_is_recorded_without_an_event() -> None:
    status, events = status_of(observed(after(READY), generation=2), READY, LATER)
    assert status is not None
    assert (status["observedGeneration"], ready(status)["observedGeneration"], events) == (2, 2, ())


def test_empty_fields_are_left_out() -> None:
    assert after(STARTING).keys() == {"phase", "reason", "message", "observedGeneration", "conditions"}


def test_the_status_names_the_primarys_pod_and_counts_the_instances_in_sync() -> None:
    replica = InstanceStatus(name="mine-valkey-1", role="replica", synced=False)
    large = replace(READY, instances=(*READY.instances, replica, replica.model_copy(update={"synced": True})), wanted=3)
    assert [after(large)[field] for field in ("primaryPod", "instances")] == ["mine-valkey-0-0", "2/3"]


def test_the_status_gives_the_reason_for_its_phase_although_the_storage_is_ready() -> None:
    status = after(READY.hindered(Hindrance("Unschedulable", "no node takes pod mine-valkey-1-0")))
    told = {field: status[field] for field in ("phase", "reason", "message")}
    assert told == {"phase": "Degraded", "reason": "Unschedulable", "message": "no node takes pod mine-valkey-1-0"}
    assert (ready(status)["status"], ready(status)["reason"]) == ("True", "StorageReady")


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (READY, "Normal"),
        (STARTING, "Normal"),
        (BROKEN, "Warning"),
        (Verdict(Phase.DEGRADED, "Unreachable", "does not answer"), "Warning"),
        (Verdict(Phase.PROVISIONING, "Unschedulable", "no instance"), "Warning"),
        (Verdict.invalid("spec.size: bad"), "Warning"),
        (Verdict.name_taken(["Secret mine-auth"]), "Warning"),
        (Verdict(Phase.PENDING, "DnsFailed", "no such host"), "Warning"),
        (STARTING.refused(Finding("ChangesAccepted", "False", "ApplyRefused", "422"), is_vital=True), "Warning"),
    ],
    ids=lambda value: value.reason if isinstance(value, Verdict) else value,
)
def test_a_change_causes_one_event(verdict: Verdict, kind: str) -> None:
    _, events = status_of(observed(), verdict, NOW)
    assert [(event.type, event.reason, event.note) for event in events] == [(kind, verdict.reason, verdict.message)]


def test_the_same_reason_in_another_phase_causes_an_event() -> None:
    _, events = status_of(observed(after(STARTING)), BROKEN, NOW)
    assert [event.reason for event in events] == ["Starting"]


def test_another_message_alone_causes_no_event() -> None:
    backoff = Verdict(Phase.PROVISIONING, "CrashLoopBackOff", "back-off 10s")
    longer = Verdict(Phase.PROVISIONING, "CrashLoopBackOff", "back-off 20s")
    status, events = status_of(observed(after(backoff)), longer, NOW)
    assert status is not None
    assert (status["message"], events) == ("back-off 20s", ())


def test_a_further_condition_causes_an_event_when_it_appears_and_none_when_it_ends() -> None:
    extra = Finding(UPDATING, "False", "WaitsForItsTurn", "later")
    status, events = status_of(observed(after(READY)), READY.changing(Change((0,), (), extra), observed().storage), NOW)
    assert events == (EventNote("Normal", "WaitsForItsTurn", "later"),)
    gone, events = status_of(observed(status), READY, NOW)
    assert gone is not None
    assert ([item["type"] for item in gone["conditions"]], events) == (["Ready"], ())


@pytest.mark.parametrize(
    ("finding", "kind"),
    [
        (Finding(UPDATING, "True", "InstanceRestarts", "m"), "Normal"),
        (Finding(UPDATING, "False", "WaitsForItsTurn", "m"), "Normal"),
        (Finding(UPDATING, "False", "UpToDate", "m"), "Normal"),
        (Finding(SIZE_APPLIED, "False", "Resizing", "m"), "Normal"),
        (Finding(REDUNDANT, "True", "InSync", "m"), "Normal"),
        (Finding(REDUNDANT, "False", "ReplicasMissing", "m"), "Warning"),
        (Finding(FAILOVER_BLOCKED, "True", "NoHistory", "m"), "Warning"),
        (Finding(FAILOVER_BLOCKED, "False", "Decided", "m"), "Normal"),
    ],
    ids=lambda value: value.reason if isinstance(value, Finding) else value,
)
def test_only_a_finding_that_needs_attention_is_a_warning(finding: Finding, kind: str) -> None:
    _, events = status_of(observed(after(READY)), replace(READY, also=(finding,)), NOW)
    assert [(event.type, event.reason) for event in events] == [(kind, finding.reason)]


def test_availability_causes_one_event_although_two_conditions_report_it() -> None:
    verdict = replace(READY, also=(Finding(AVAILABLE, "True", READY.reason, READY.message),))
    status, events = status_of(observed(after(STARTING)), verdict, NOW)
    assert status is not None
    assert ([item["type"] for item in status["conditions"]], len(events)) == (["Ready", AVAILABLE], 1)


@pytest.mark.parametrize(("reason", "kind"), [("PrimaryLost", "Warning"), ("Asked", "Normal")])
def test_another_primary_causes_one_event_which_is_a_warning_unless_planned(reason: str, kind: str) -> None:
    moved = replace(READY, last_failover=MOVED.model_copy(update={"reason": reason}))
    status, events = status_of(observed(after(READY)), moved, NOW)
    told = "mine-valkey-0 is the primary now; that took 0.25 s"
    assert [(event.type, event.reason, event.note) for event in events] == [(kind, reason, told)]
    assert status_of(observed(status), moved, LATER) == (None, ())


def verdict_of(before: StorageState, decision: Decision | None = None) -> Verdict:
    spec = before.storage.spec
    assert spec is not None
    group = ReplicationGroup.of(before, DEFAULT_SIZES.of(spec.size))
    return judge(before, spec, group, decision or KeepPrimary(), NOW)


def test_the_status_lists_every_instance_with_its_role_and_lag() -> None:
    head, near, far = storages.observed("large").instances
    stranger = replicated(far, lineage="b" * 40)
    for last, shown in ((replicated(far, offset=0), {"synced": False, "lagMiB": 50}), (stranger, {"synced": False})):
        verdict = verdict_of(storages.observed("large", head, near, last))
        assert verdict.primary == "mine-valkey-0"
        assert [instance.to_object() for instance in verdict.instances] == [
            {"name": "mine-valkey-0", "role": "primary", "synced": True, "lagMiB": 0},
            {"name": "mine-valkey-1", "role": "replica", "synced": True, "lagMiB": 0},
            {"name": "mine-valkey-2", "role": "replica", **shown},
        ]


def test_the_running_size_is_that_of_the_primarys_pod() -> None:
    before = storages.declared(storages.observed("small"), storages.session_storage({"size": "medium"}))
    verdict = verdict_of(before)
    assert verdict.size == "small"
    assert [finding.reason for finding in verdict.also if finding.type == SIZE_APPLIED] == ["Resizing"]


@pytest.mark.parametrize(
    "decision", [LookAgain(1, "PrimarySilent", "soon"), FailoverBlocked("NoHistory", "a person decides")]
)
def test_a_condition_says_why_no_instance_takes_over(decision: LookAgain | FailoverBlocked) -> None:
    gone = storages.observed("large", Instance(0), *storages.instances(Size.LARGE)[1:])
    verdict = verdict_of(gone, decision)
    assert (verdict.is_ready, verdict.reason, verdict.message) == (False, decision.reason, decision.message)
    blocked = [finding.reason for finding in verdict.also if finding.type == FAILOVER_BLOCKED]
    assert blocked == ([decision.reason] if isinstance(decision, FailoverBlocked) else [])


def test_the_condition_of_a_blocked_failover_is_taken_back() -> None:
    (told,) = conditions([Finding(FAILOVER_BLOCKED, "True", "NoHistory", "m")], [], 1, NOW)
    status = {"conditions": [told]}
    verdict = verdict_of(storages.settled(storages.observed("large"), status))
    assert [finding.status for finding in verdict.also if finding.type == FAILOVER_BLOCKED] == ["False"]


def test_a_condition_says_that_all_is_up_to_date_after_an_update() -> None:
    nothing, change = Change((0,)), Finding(UPDATING, "True", "InstanceRestarts", "m")
    assert READY.changing(nothing, observed(after(READY)).storage).also == ()
    during = after(READY.changing(Change((0,), (), change), observed().storage))
    done = READY.changing(nothing, observed(during).storage)
    assert [(finding.type, finding.status, finding.reason) for finding in done.also] == [
        (UPDATING, "False", "UpToDate")
    ]


def test_a_condition_without_a_time_gets_one() -> None:
    finding = Finding("Ready", "True", "R", "m")
    (made,) = conditions([finding], [], 3, NOW)
    assert made == {
        "type": "Ready",
        "status": "True",
        "reason": "R",
        "message": "m",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-23T12:00:00Z",
    }
