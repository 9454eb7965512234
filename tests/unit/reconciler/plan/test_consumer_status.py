"""Which condition, Event or readmission a consumer needs."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.plan.consumer_status import ConsumerStatus, consumer_status
from shared.consumers import injection
from shared.consumers.reference import StorageReference
from shared.consumers.storage_connection import connection_to
from shared.consumers.targets import Target
from shared.names import ANNOTATION_INJECTION
from shared.objects.conditions import Finding

HERE, FAR = StorageReference("team", "mine"), StorageReference("far", "mine")
STORAGES: Any = {
    reference.key: {"metadata": {"name": "mine", "namespace": reference.namespace}, "spec": {}}
    for reference in (HERE, FAR)
}


def server(reference: StorageReference | None = HERE, condition: Any = None, **metadata: Any) -> Any:
    spec = {} if reference is None else {"sessionStorageRef": {"name": "mine", "namespace": reference.namespace}}
    own: Any = {"name": "srv", "namespace": "team", **metadata}
    status = {"status": {"conditions": [{"type": "Other"}, condition]}} if condition else {}
    return {"kind": "MCPServer", "metadata": own, "spec": spec, **status}


def injected(reference: StorageReference = HERE, condition: Any = None, *, is_granted: bool = False) -> Any:
    context = injection.InjectionContext(is_granted=is_granted)
    return injection.inject(server(reference, condition), reference, connection_to(reference, None), context).consumer


def look(consumer: Any, storages: Any = STORAGES, target: Target = Target.ALL) -> ConsumerStatus:
    return consumer_status(consumer, storages, target)


def reason(found: ConsumerStatus) -> str | None:
    return found.finding.reason if found.finding else None


@pytest.mark.parametrize("consumer", [injected(), server(None), injected(FAR, is_granted=True)])
def test_a_correct_consumer_needs_nothing(consumer: Any) -> None:
    assert look(consumer) == ConsumerStatus()


def test_a_consumer_stored_without_injection_is_readmitted() -> None:
    assert look(server()) == ConsumerStatus(needs_readmission=True)
    asked = server(annotations={ANNOTATION_INJECTION: '{"asked":"now"}'})
    assert look(asked) == ConsumerStatus(needs_readmission=True)


def test_no_consumer_is_readmitted_in_a_namespace_without_the_webhook() -> None:
    consumer = server(StorageReference("kube-system", "mine"), namespace="kube-system")
    assert not look(consumer).needs_readmission


def test_another_default_target_has_every_consumer_readmitted() -> None:
    assert look(injected(), target=Target.PROXY).needs_readmission


def test_a_storage_that_turns_out_to_be_external_has_its_consumers_readmitted() -> None:
    external: Any = {HERE.key: {"metadata": STORAGES[HERE.key]["metadata"], "spec": {"external": {"url": "redis://a"}}}}
    assert look(injected(), external).needs_readmission


def test_a_missing_storage_gets_a_condition_and_nothing_is_disconnected() -> None:
    found = look(injected(), {})
    assert (found.needs_readmission, reason(found)) == (False, "StorageNotFound")


def test_a_reference_made_without_the_right_gets_a_condition_and_is_not_connected() -> None:
    found = look(server(FAR))
    assert (found.needs_readmission, reason(found)) == (False, "NotPermitted")


def test_the_message_of_a_contradiction_omits_the_users_value() -> None:
    consumer = server()
    consumer["spec"]["sessionStorage"] = {"provider": "redis", "address": "redis://:hunter2@there"}
    found = look(consumer)
    assert (found.needs_readmission, reason(found)) == (False, "Contradiction")
    assert "hunter2" not in repr(found)


def test_a_problem_causes_one_event_and_its_end_another() -> None:
    found = look(injected(), {}).finding
    assert found is not None
    told = {"type": found.type, "status": found.status, "reason": found.reason, "message": found.message}
    assert look(injected(condition=told), {}) == ConsumerStatus()
    better = look(injected(condition=told)).finding
    message = "the consumer may use SessionStorage team/mine"
    assert better == Finding("SessionStorageResolved", "True", "Resolved", message)
    told |= {"status": "True", "reason": "Resolved", "message": better.message}
    assert look(injected(condition=told)) == ConsumerStatus()


def test_a_consumer_that_is_being_deleted_is_left_alone() -> None:
    assert look(server(deletionTimestamp="2026-01-01T00:00:00Z"), {}) == ConsumerStatus()
