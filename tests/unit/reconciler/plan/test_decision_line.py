"""A decision has one line in the log, in the words of the status; what decides nothing has none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from reconciler.actions.plan import Plan
from reconciler.plan.decision_line import GONE, DecisionLine, described
from reconciler.state.instance import Instance
from shared.session_storage.status import Condition, InstanceStatus, Phase, SessionStorageStatus

THEN = datetime(2026, 1, 31, 17, 0, tzinfo=UTC)


def condition(kind: str, status: Literal["True", "False"], reason: str, message: str = "") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=THEN)


def line(before: SessionStorageStatus, after: SessionStorageStatus) -> DecisionLine:
    return DecisionLine.of(Plan(status=after.to_object()), before)


READY = SessionStorageStatus(
    phase=Phase.READY,
    reason="StorageReady",
    conditions=[condition("Ready", "True", "StorageReady"), condition("Reconciling", "True", "ReplicasMissing")],
)


def test_what_has_changed_is_told_and_nothing_else() -> None:
    conditions = [condition("Ready", "True", "StorageReady"), condition("Redundant", "False", "ReplicasMissing")]
    told = line(READY, READY.model_copy(update={"conditions": conditions}))
    assert told.conditions == {"Redundant": "False ReplicasMissing", "Reconciling": GONE}
    assert (told.phase, told.reason, told.actions) == ("Ready", "StorageReady", ())
    assert told.is_worth_a_line


def test_another_reason_is_told_although_the_status_of_the_condition_is_the_same() -> None:
    conditions = [condition("Ready", "True", "StorageReady"), condition("Reconciling", "True", "InstanceStarts")]
    assert line(READY, READY.model_copy(update={"conditions": conditions})).conditions == {
        "Reconciling": "True InstanceStarts"
    }


def test_a_figure_or_another_message_is_no_decision() -> None:
    nodes = [InstanceStatus(name="mine-valkey-0", role="primary", synced=True)]
    conditions = [condition("Ready", "True", "StorageReady", "a"), condition("Reconciling", "True", "ReplicasMissing")]
    told = line(READY, READY.model_copy(update={"nodes": nodes, "conditions": conditions}))
    assert not told.is_worth_a_line
    assert not DecisionLine.of(Plan(), READY).is_worth_a_line


def test_another_phase_is_a_decision() -> None:
    assert line(READY, READY.model_copy(update={"phase": Phase.ROTATING})).is_worth_a_line


def test_a_plan_that_leaves_the_status_has_its_reason() -> None:
    assert DecisionLine.of(Plan(), READY).fields == {
        "actions": (),
        "reason": "StorageReady",
        "phase": "Ready",
        "conditions": {},
    }


def test_an_instance_that_does_not_answer_is_described_by_its_problem() -> None:
    assert described(Instance(2, problem="down", detail="whatever a server says")) == "instance 2: down"
    assert described(Instance(2)) == "instance 2: not there"
