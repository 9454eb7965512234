"""What the planner decides about a user's own store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.actions.kubernetes import Restart, Share, Write
from reconciler.actions.plan import Plan
from reconciler.credentials import identities
from reconciler.plan.planner import plan
from reconciler.state.credential_rollout import CredentialRollout
from reconciler.state.external_store import (
    DialResult,
    ExternalFacts,
    Outcome,
    login_from_connection,
    login_from_secret,
)
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.storage_state import Sharing, StorageState
from shared.consumers.identity import Consumer
from shared.session_storage.models import External
from tests.support.storages import NOW, SETTINGS, session_storage, settled, state_of

OK = DialResult(Outcome.OK)
PASSWORD = "hunter2/+ö"


def observed(
    dialled: DialResult | None = OK, url: str = "redis://elsewhere", *, serves_tls: bool = True, **secret: str
) -> StorageState:
    data = {key.replace("_", "."): value for key, value in secret.items()}
    facts = replace(seen({"data": identities.encoded(data)}), dialled=dialled, serves_tls=serves_tls)
    spec = {"external": {"url": url, "secretRef": "theirs"}}
    return state_of(session_storage(spec), external=facts)


def seen(secret: Any) -> ExternalFacts:
    """Build what is known of a store before anybody dials it, given the Secret that the storage names."""
    external = External(url="redis://elsewhere", secret_ref="theirs")
    login = login_from_secret(external, secret)
    return ExternalFacts(login, has_secret=secret is not None, revision="uid-2-9")


def decided(before: StorageState) -> Plan:
    return plan(before, SETTINGS, NOW)


def condition(decision: Plan, kind: str = "Ready") -> Any:
    assert decision.status is not None
    return {item["type"]: item for item in decision.status["conditions"]}[kind]


def handed_out(decision: Plan) -> dict[str, str]:
    (step,) = decision.steps
    assert isinstance(step, Write)
    return identities.decoded(step.obj["data"])


def test_a_storage_whose_store_works_is_ready_and_hands_out_the_connection() -> None:
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
def test_a_storage_whose_store_fails_hands_nothing_out_and_says_what_to_do(outcome: Outcome) -> None:
    decision = decided(observed(DialResult(outcome, "seen"), password=PASSWORD))
    assert decision.steps == ()
    found = condition(decision)
    assert (found["status"], found["reason"]) == ("False", outcome)
    assert found["message"].startswith("elsewhere:6379: seen: ")
    assert "hunter2" not in repr(decision)


def handing_out(password: str, **record: str) -> Any:
    """Return the connection Secret as an earlier pass wrote it."""
    (step,) = decided(observed(password=password)).steps
    assert isinstance(step, Write)
    version = {"resourceVersion": "4"}
    return RotationRecord(**record).put_on({**step.obj, "metadata": {**step.obj["metadata"], **version}})


def with_connection(before: StorageState, connection: Any) -> StorageState:
    assert before.external is not None
    return replace(
        before,
        children={("secrets", "mine-connection"): connection},
        rotation=RotationRecord.of(connection),
        external=replace(before.external, published_login=login_from_connection(connection)),
    )


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
    decision = decided(replace(before, external=replace(facts, dialled_as_published=handed_out)))
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
    waiting = replace(before, rollouts=(CredentialRollout("MCPServer team/a", Consumer("MCPServer", "team", "a")),))
    (step,) = decided(waiting).steps
    assert step == Restart(Consumer("MCPServer", "team", "a"), "r@2026-11-23T12:00:00Z")
    (step,) = decided(before).steps
    assert isinstance(step, Write)
    assert RotationRecord.of(step.obj).ended == "2026-11-23T12:00:00Z"
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
def test_without_a_password_no_step_follows_and_the_message_names_the_secret(secret: Any, reason: str) -> None:
    decision = decided(replace(observed(), external=seen(secret)))
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
def test_a_condition_says_whether_proxies_are_connected(before: StorageState, status: str, reason: str) -> None:
    found = condition(decided(before), "ProxiesSupported")
    assert (found["status"], found["reason"]) == (status, reason)


def test_at_rest_nothing_is_written() -> None:
    before = observed(password=PASSWORD)
    first = decided(before)
    (step,) = first.steps
    assert isinstance(step, Write)
    second = decided(settled(with_connection(before, step.obj), first.status))
    assert (second.steps, second.status, second.events) == ((), None, ())


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_hour_of_looks_with_the_same_result_writes_the_status_once(outcome: Outcome) -> None:
    before = with_connection(observed(DialResult(outcome, "seen"), password="old"), handing_out("old"))
    now, writes, looks, pauses = NOW, 0, 0, list[float]()
    while now < NOW + timedelta(hours=1):
        decision = plan(before, SETTINGS, now)
        assert decision.steps == ()
        assert decision.requeue_after_seconds is not None
        assert (decision.status is None) is (decision.events == ())
        writes, looks = writes + (decision.status is not None), looks + 1
        before = settled(before, decision.status)
        pauses.append(decision.requeue_after_seconds)
        now += timedelta(seconds=decision.requeue_after_seconds)
    assert writes == 1
    assert looks < 150
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == ((30, 30) if outcome is Outcome.OK else (5, 30))


@pytest.mark.parametrize("secret", [None, {}], ids=["no Secret", "no password"])
def test_an_hour_without_a_password_writes_the_status_once(secret: Any) -> None:
    before, writes = replace(observed(), external=seen(secret)), 0
    for minute in range(60):
        decision = plan(before, SETTINGS, NOW + timedelta(minutes=minute))
        writes += decision.status is not None
        before = settled(before, decision.status)
    assert writes == 1


def test_a_connection_secret_whose_labels_somebody_took_gets_them_back_while_the_store_is_down() -> None:
    connection = handing_out("old")
    stripped = {**connection, "metadata": {**connection["metadata"], "labels": {}}}
    down = observed(DialResult(Outcome.REFUSED, "seen"), password="old")
    (step,) = decided(with_connection(down, stripped)).steps
    assert isinstance(step, Write)
    assert step.obj["metadata"]["labels"] == connection["metadata"]["labels"]
    assert step.obj["metadata"]["resourceVersion"] == "4"
    assert step.obj["data"] == connection["data"]


@pytest.mark.parametrize("lost", ["labels", "data", "type"])
def test_copies_are_made_of_a_connection_secret_whatever_somebody_took_out_of_it(lost: str) -> None:
    connection = handing_out("old")
    stripped = {**connection, "metadata": {**connection["metadata"]}}
    (stripped["metadata"] if lost == "labels" else stripped).pop(lost)
    down = observed(DialResult(Outcome.REFUSED, "seen"), password="old")
    shared = replace(down, sharing=Sharing(namespaces=("other",)))
    first, *others = decided(with_connection(shared, stripped)).steps
    if isinstance(first, Write):  # the connection Secret itself comes first, and its copies with the next pass
        assert others == []
        first, *_ = decided(with_connection(shared, first.obj)).steps
    share = first
    assert isinstance(share, Share)
    assert share.obj["metadata"]["labels"]["toolhive.stacklok.dev/storage"] == "mine"
    assert share.obj.get("data") == stripped.get("data")


@pytest.mark.parametrize("published", ["", "default"])
def test_the_user_name_default_is_what_a_password_alone_means(published: str) -> None:
    decision = decided(observed(password="p", username="default"))
    assert condition(decision, "ProxiesSupported")["status"] == "True"
    assert "REDIS_USERNAME" not in handed_out(decision)
    connection = handing_out("p")
    if published:
        connection["data"] |= identities.encoded({"REDIS_USERNAME": published})
    after = decided(with_connection(observed(password="p", username="default"), connection))
    assert after.status is not None
    assert "rotation" not in after.status
