"""What is decided about a user's own store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.actions.kubernetes import Restart, Write
from reconciler.actions.plan import Plan
from reconciler.credentials import identities
from reconciler.plan.planner import plan
from reconciler.rotation.phases import Record
from reconciler.state.credential_rollout import Report
from reconciler.state.external_store import DialResult, ExternalFacts, Outcome
from reconciler.state.storage_state import Observed
from shared import names
from shared.consumers.identity import Consumer
from tests.support.storages import NOW, SETTINGS

OK = DialResult(Outcome.OK)
PASSWORD = "hunter2/+ö"


def observed(
    report: DialResult | None = OK, url: str = "redis://elsewhere", *, serves_tls: bool = True, **secret: str
) -> Observed:
    metadata = {"name": "mine", "namespace": "team", "uid": "uid-1", "generation": 1}
    storage: Any = {"metadata": metadata, "spec": {"external": {"url": url, "secretRef": "theirs"}}}
    data = {key.replace("_", "."): value for key, value in secret.items()}
    facts = ExternalFacts(
        {"metadata": {"uid": "uid-2", "resourceVersion": "9"}, "data": identities.encoded(data)}, report, serves_tls
    )
    return Observed(storage, {}, external=facts)


def decided(before: Observed) -> Plan:
    return plan(before, SETTINGS, NOW)


def condition(decision: Plan, kind: str = "Ready") -> Any:
    assert decision.status is not None
    return {item["type"]: item for item in decision.status["conditions"]}[kind]


def handed_out(decision: Plan) -> dict[str, str]:
    (step,) = decision.steps
    assert isinstance(step, Write)
    return identities.decoded(step.obj["data"])


def test_a_store_that_works_is_ready_and_its_connection_is_handed_out() -> None:
    decision = decided(observed(password=PASSWORD))
    assert condition(decision)["status"] == "True"
    assert decision.status is not None
    assert decision.status["connectionSecret"] == "mine-connection"
    assert handed_out(decision) == {
        "REDIS_URL": "redis://:hunter2%2F%2B%C3%B6@elsewhere:6379",
        "REDIS_PASSWORD": PASSWORD,
        "SESSION_STORAGE_TYPE": "redis",
    }
    assert "hunter2" not in repr(decision)


def test_user_name_database_and_authority_are_handed_on() -> None:
    values = handed_out(
        decided(observed(OK, "valkeys://[::1]:7000/3", password=PASSWORD, username="me@home", ca_crt="PEM"))
    )
    assert values["REDIS_URL"] == "rediss://me%40home:hunter2%2F%2B%C3%B6@[::1]:7000/3"
    assert (values["REDIS_USERNAME"], values["ca.crt"]) == ("me@home", "PEM")


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_a_store_that_does_not_work_is_not_handed_out_and_the_next_step_is_said(outcome: Outcome) -> None:
    decision = decided(observed(DialResult(outcome, "seen"), password=PASSWORD))
    assert decision.steps == ()
    found = condition(decision)
    assert (found["status"], found["reason"]) == ("False", outcome)
    assert found["message"].startswith("elsewhere:6379: seen: ")
    assert "hunter2" not in repr(decision)


def handing_out(password: str, **record: str) -> Any:
    """The connection Secret, as it was written before."""
    (step,) = decided(observed(password=password)).steps
    assert isinstance(step, Write)
    annotations = {"annotations": {names.ANNOTATION_ROTATION: Record(**record).text}} if record else {}
    return {**step.obj, "metadata": {**step.obj["metadata"], "resourceVersion": "4", **annotations}}


def with_connection(before: Observed, connection: Any) -> Observed:
    return replace(before, children={("secrets", "mine-connection"): connection})


def test_a_changed_credential_that_works_is_handed_on_and_consumers_are_to_follow() -> None:
    decision = decided(with_connection(observed(password="new"), handing_out("old")))
    assert handed_out(decision)["REDIS_PASSWORD"] == "new"
    assert decision.status is not None
    assert (decision.status["phase"], decision.status["rotation"]["phase"]) == ("Rotating", "Published")
    assert condition(decision)["status"] == "True"


@pytest.mark.parametrize("handed_out", [None, OK, DialResult(Outcome.AUTH)])
def test_a_changed_credential_that_does_not_work_changes_nothing(handed_out: DialResult | None) -> None:
    before = with_connection(observed(DialResult(Outcome.AUTH, "seen"), password="new"), handing_out("old"))
    facts = before.external
    assert facts is not None
    decision = decided(replace(before, external=replace(facts, handed_out=handed_out)))
    assert decision.steps == ()
    assert decision.status is not None
    assert decision.status["connectionSecret"] == "mine-connection"
    if handed_out == OK:
        assert condition(decision)["status"] == "True"
        assert condition(decision, "CredentialHandedOn")["reason"] == "AuthenticationFailed"
        assert "consumers keep the one before" in condition(decision, "CredentialHandedOn")["message"]
    else:
        assert condition(decision)["reason"] == "AuthenticationFailed"


def test_another_address_is_handed_on_without_a_rotation() -> None:
    decision = decided(with_connection(observed(url="redis://moved", password="old"), handing_out("old")))
    assert handed_out(decision)["REDIS_URL"] == "redis://:old@moved:6379"
    assert decision.status is not None
    assert "rotation" not in decision.status


def test_once_all_consumers_follow_the_rotation_of_a_users_own_credential_is_over() -> None:
    record = {"revision": "r", "begun": "2026-11-23T11:00:00Z", "published": "2026-11-23T11:00:00Z"}
    before = with_connection(observed(password="new"), handing_out("new", **record))
    waiting = replace(before, holders=(Report("MCPServer team/a", Consumer("MCPServer", "team", "a")),))
    (step,) = decided(waiting).steps
    assert step == Restart(Consumer("MCPServer", "team", "a"), "r@2026-11-23T12:00:00Z")
    (step,) = decided(before).steps
    assert isinstance(step, Write)
    assert Record.of(step.obj).ended == "2026-11-23T12:00:00Z"
    after = decided(with_connection(before, step.obj))
    assert after.steps == ()
    assert after.status is not None
    assert after.status["rotation"]["phase"] == "Discarded"


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (None, "SecretNotFound"),
        ({}, "SecretKeyMissing"),
        ({"data": {"pass": "eA=="}}, "SecretKeyMissing"),
        ({"data": {"password": "%%%"}}, "SecretKeyMissing"),
        ({"data": {"password": ""}}, "SecretKeyMissing"),
    ],
)
def test_without_a_password_nothing_is_done_and_the_secret_is_named(secret: Any, reason: str) -> None:
    decision = decided(replace(observed(), external=ExternalFacts(secret)))
    assert decision.steps == ()
    assert condition(decision)["reason"] == reason
    assert "Secret theirs" in condition(decision)["message"]
    assert condition(decision, "ProxiesSupported")["reason"] == "NotChecked"


@pytest.mark.parametrize(
    ("before", "status", "reason"),
    [
        (observed(password="x"), "True", "PlainTcp"),
        (observed(password="x", serves_tls=False), "True", "PlainTcp"),
        (observed(password="x", url="rediss://a"), "True", "TlsWithSystemRoots"),
        (observed(password="x", ca_crt="PEM", url="rediss://a"), "True", "TlsWithCa"),
        (observed(password="x", url="rediss://a", serves_tls=False), "False", "TlsNotSupported"),
        (observed(password="x", username="me"), "False", "UserNameNotSupported"),
    ],
)
def test_whether_proxies_are_connected_is_said(before: Observed, status: str, reason: str) -> None:
    found = condition(decided(before), "ProxiesSupported")
    assert (found["status"], found["reason"]) == (status, reason)


def test_at_rest_nothing_is_written() -> None:
    before = observed(password=PASSWORD)
    first = decided(before)
    (step,) = first.steps
    assert isinstance(step, Write)
    storage = {**before.storage, "status": first.status}
    second = decided(replace(before, storage=storage, children={("secrets", "mine-connection"): step.obj}))
    assert (second.steps, second.status, second.events) == ((), None, ())
