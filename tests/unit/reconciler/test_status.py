"""What users are told, and that they are told it once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.nodes import NodeReport
from reconciler.observe import Observed
from reconciler.status import EventNote, Verdict, status_of
from shared.conditions import Finding, conditions
from shared.resources import Object
from shared.sessionstorage import Phase, SessionStorageStatus

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
READY = Verdict(
    Phase.READY, "StorageReady", "Storage is ready and secured", "mine-valkey-0", "mine-connection", size="small"
)
STARTING = Verdict(Phase.PROVISIONING, "Starting", "Valkey is starting")
BROKEN = Verdict(Phase.DEGRADED, "Starting", "Valkey is starting")


def observed(status: Object | None = None, generation: int = 1) -> Observed:
    metadata = {"name": "mine", "namespace": "team", "uid": "u", "generation": generation}
    storage = {"metadata": metadata, "spec": {}} | ({"status": status} if status else {})
    return Observed(storage, {}, NodeReport())


def after(verdict: Verdict, status: Object | None = None, generation: int = 1, now: datetime = NOW) -> Object:
    new, _ = status_of(observed(status, generation), verdict, now)
    assert new is not None
    return new


def ready(status: Object) -> Object:
    (condition,) = [item for item in status["conditions"] if item["type"] == "Ready"]
    return dict(condition)


def test_a_status_says_what_the_model_of_the_crd_holds() -> None:
    status = after(READY)
    model = SessionStorageStatus.model_validate(status)
    assert model.model_dump(mode="json", by_alias=True, exclude_none=True) == status


def test_the_size_that_runs_is_remembered_while_it_cannot_be_seen() -> None:
    assert after(BROKEN, after(READY))["size"] == "small"


def test_what_did_not_change_is_not_written() -> None:
    assert status_of(observed(after(READY)), READY, LATER) == (None, ())


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = after(STARTING)
    renamed = after(Verdict(Phase.PROVISIONING, "LoadingData", "reads"), first, now=LATER)
    assert ready(renamed)["reason"] == "LoadingData"
    assert ready(renamed)["lastTransitionTime"] == ready(first)["lastTransitionTime"] == "2026-11-23T12:00:00Z"
    turned = after(READY, renamed, now=LATER)
    assert ready(turned)["lastTransitionTime"] == "2026-11-23T12:05:00Z"


def test_a_new_generation_is_seen_without_any_event() -> None:
    status, events = status_of(observed(after(READY), generation=2), READY, LATER)
    assert status is not None
    assert (status["observedGeneration"], ready(status)["observedGeneration"], events) == (2, 2, ())


def test_empty_fields_are_left_out() -> None:
    assert after(STARTING).keys() == {"phase", "message", "observedGeneration", "conditions"}


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (READY, "Normal"),
        (STARTING, "Normal"),
        (BROKEN, "Warning"),
        (Verdict(Phase.DEGRADED, "Unreachable", "does not answer"), "Warning"),
        (Verdict(Phase.PROVISIONING, "Unschedulable", "no node"), "Warning"),
        (Verdict.invalid("spec.size: bad"), "Warning"),
        (Verdict.name_taken(["Secret mine-auth"]), "Warning"),
        (Verdict(Phase.PENDING, "DnsFailed", "no such host"), "Warning"),
        (Verdict.refused("422"), "Warning"),
    ],
    ids=lambda value: value.reason if isinstance(value, Verdict) else value,
)
def test_a_change_is_told_in_one_event(verdict: Verdict, kind: str) -> None:
    _, events = status_of(observed(), verdict, NOW)
    assert [(event.type, event.reason, event.note) for event in events] == [(kind, verdict.reason, verdict.message)]


def test_the_same_reason_in_another_phase_is_news() -> None:
    _, events = status_of(observed(after(STARTING)), BROKEN, NOW)
    assert [event.reason for event in events] == ["Starting"]


def test_another_wording_alone_is_no_event() -> None:
    backoff = Verdict(Phase.PROVISIONING, "CrashLoopBackOff", "back-off 10s")
    longer = Verdict(Phase.PROVISIONING, "CrashLoopBackOff", "back-off 20s")
    status, events = status_of(observed(after(backoff)), longer, NOW)
    assert status is not None
    assert (status["message"], events) == ("back-off 20s", ())


def test_a_further_condition_is_told_when_it_comes_and_not_when_it_goes() -> None:
    extra = Finding("SizeApplied", "False", "ResizeWaits", "waits")
    with_extra = Verdict(READY.phase, READY.reason, READY.message, READY.primary, READY.connection_secret, (extra,))
    status, events = status_of(observed(after(READY)), with_extra, NOW)
    assert events == (EventNote("Warning", "ResizeWaits", "waits"),)
    gone, events = status_of(observed(status), READY, NOW)
    assert gone is not None
    assert ([item["type"] for item in gone["conditions"]], events) == (["Ready"], ())


def test_conditions_of_unknown_history_get_a_time() -> None:
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
