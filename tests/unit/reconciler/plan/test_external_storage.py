"""What the planner decides about a user's own store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.actions.kubernetes import Restart, Share, Write
from reconciler.actions.plan import Plan
from reconciler.credentials import identities
from reconciler.manifests.secrets import mirrored_secret
from reconciler.plan.planner import plan
from reconciler.state.credential_rollout import CredentialRollout
from reconciler.state.external_secret import SecretProblem, connection_of_consumers, connection_of_user
from reconciler.state.external_store import DialResult, ExternalFacts, Outcome
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.storage_state import Sharing, StorageState
from shared import names
from shared.consumers.identity import Consumer
from shared.consumers.injection import InjectionContext, desired
from shared.consumers.reference import StorageReference
from shared.session_storage.models import External
from tests.support.storages import NOW, SETTINGS, session_storage, settled, state_of

OK = DialResult(Outcome.OK)
PASSWORD = "hunter2/+ö"


def observed(
    dialled: DialResult | None = OK, url: str = "redis://elsewhere", *, serves_tls: bool = True, **secret: str
) -> StorageState:
    data = {key.replace("_", "."): value for key, value in secret.items()}
    stated = {"url": url, "secretRef": "theirs"} if url else {"secretRef": "theirs"}
    facts = replace(seen({"data": identities.encoded(data)}, stated), dialled=dialled, serves_tls=serves_tls)
    return state_of(session_storage({"external": stated}), external=facts)


ELSEWHERE = {"url": "redis://elsewhere", "secretRef": "theirs"}


def seen(secret: Any, stated: Any = ELSEWHERE) -> ExternalFacts:
    """Build what is known of a store before anybody dials it, given the Secret that the storage names."""
    wanted = connection_of_user(External.model_validate(stated), "team", secret)
    return ExternalFacts(problem=wanted) if isinstance(wanted, SecretProblem) else ExternalFacts(wanted)


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
        "REDIS_URL": "redis://:hunter2%2F%2B%C3%B6@elsewhere.team.svc:6379",
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
    assert found["message"].startswith("elsewhere.team.svc:6379: seen: ")
    assert "hunter2" not in repr(decision)


def handing_out(password: str, **record: str) -> Any:
    """Return the connection Secret as an earlier pass wrote it."""
    return RotationRecord(**record).put_on(handed(observed(password=password)))


def with_connection(before: StorageState, connection: Any) -> StorageState:
    assert before.external is not None
    return replace(
        before,
        children={("secrets", "mine-connection"): connection},
        rotation=RotationRecord.of(connection),
        external=replace(before.external, published=connection_of_consumers("team", connection)),
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
        assert "consumers keep the connection before" in condition(decision, "CredentialHandedOn")["message"]
    else:
        assert condition(decision)["reason"] == "AuthenticationFailed"


@pytest.mark.parametrize("secret", [None, {"password": "new", "username": "ann"}, {"password": "new", "ca.crt": "PEM"}])
def test_proxies_stay_connected_as_consumers_are_whatever_a_secret_says_that_does_not_work(secret: Any) -> None:
    former = observed(DialResult(Outcome.AUTH), "rediss://a.b", password="old")
    before = with_connection(former, handed(observed(OK, "rediss://a.b", password="old")))
    assert before.external is not None
    changed = seen({"data": identities.encoded(secret)} if secret else None, {**ELSEWHERE, "url": "rediss://a.b"})
    failing = replace(changed, dialled=DialResult(Outcome.AUTH) if secret else None, serves_tls=True)
    decision = decided(replace(before, external=replace(failing, published=before.external.published)))
    assert condition(decision, "ProxiesSupported")["reason"] == "TlsWithSystemRoots"


OPEN = {"url": "redis://elsewhere"}
"""A store without a password."""


def stating(external: Any, secret: dict[str, str], dialled: DialResult = OK) -> StorageState:
    """Observe a storage with this spec and this content of its Secret, if it names one."""
    facts = seen({"data": identities.encoded(secret)}, external)
    return state_of(session_storage({"external": external}), external=replace(facts, dialled=dialled))


@pytest.mark.parametrize(("external", "secret"), [(ELSEWHERE, {"password": "p"}), (OPEN, {})], ids=["login", "open"])
def test_consumers_follow_a_changed_url_once_it_works_and_restart(external: Any, secret: dict[str, str]) -> None:
    """Backends read the address as they start; the user's Secret may be the same as ever."""
    former = handed(stating(external, secret))
    decision = decided(with_connection(stating({**external, "url": "redis://moved"}, secret), former))
    values = handed_out(decision)
    assert values["REDIS_URL"].endswith("moved.team.svc:6379")
    (step,) = decision.steps
    assert isinstance(step, Write)
    assert RotationRecord.of(step.obj).revision == "uid-4-4", "no consumer has had this revision before"
    assert decision.status is not None
    assert decision.status["endpoint"] == "redis://moved.team.svc:6379"
    assert decision.status["rotation"]["phase"] == "Published"


@pytest.mark.parametrize(("external", "secret"), [(ELSEWHERE, {"password": "p"}), (OPEN, {})], ids=["login", "open"])
@pytest.mark.parametrize("former", [OK, DialResult(Outcome.DNS)], ids=["the former works", "neither works"])
def test_consumers_keep_the_former_place_as_long_as_a_changed_url_does_not_work(
    external: Any, secret: dict[str, str], former: DialResult
) -> None:
    dead = {**external, "url": "redis://dead.example.com"}
    connection = handed(stating(external, secret))
    moved = with_connection(stating(dead, secret, DialResult(Outcome.TIMEOUT, "seen")), connection)
    assert moved.external is not None
    decision = decided(replace(moved, external=replace(moved.external, dialled_as_published=former)))
    assert decision.steps == ()
    assert decision.status is not None
    assert decision.status["endpoint"] == "redis://elsewhere.team.svc:6379"
    assert connected(decision, dead, "other")["address"] == "elsewhere.team.svc:6379"
    assert condition(decision, "ProxiesSupported")["reason"] == "PlainTcp"
    assert condition(decision)["status"] == ("True" if former == OK else "False")
    if former == OK:
        said = condition(decision, "CredentialHandedOn")
        assert said["reason"] == "TimedOut"
        sources = "spec.external.url and Secret theirs say" if secret else "spec.external.url says"
        assert said["message"].startswith(f"what {sources} does not work, and consumers keep the connection before: ")


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


FORGED = identities.encoded({"NODE_OPTIONS": "--require ./x.js", "LD_PRELOAD": "./x.so"})
"""What a backend would run with, if these keys of its storage's connection Secret became variables of it."""


@pytest.mark.parametrize("secret", [{"data": identities.encoded({"password": "old"})}, None, {}], ids=repr)
def test_nobody_can_add_a_variable_to_the_backends_of_a_storage_while_its_store_or_secret_is_away(secret: Any) -> None:
    connection = handing_out("old")
    forged = {**connection, "data": {**connection["data"], **FORGED}}
    facts = replace(seen(secret), dialled=DialResult(Outcome.REFUSED, "seen") if secret else None)
    before = replace(observed(), external=facts, sharing=Sharing(namespaces=("other",)))
    first, *others = decided(with_connection(before, forged)).steps
    assert isinstance(first, Write)
    assert (first.obj["data"], others) == (connection["data"], [])


@pytest.mark.parametrize("taken", [names.EXTERNAL_CONNECTION_KEYS, names.OPEN_CONNECTION_KEYS], ids=len)
def test_a_copy_has_the_keys_of_the_contract_alone(taken: frozenset[str]) -> None:
    connection = handing_out("old")
    held = identities.encoded(dict.fromkeys(taken, "x"))
    copied = mirrored_secret({**connection, "data": {**held, **FORGED}}, "other")
    assert copied["data"] == held


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


def hosted(dialled: DialResult = OK, host: str = "cache.example.com", tls: str = "") -> StorageState:
    """Observe a storage without a URL; its Secret says where the store is, as a cloud operator writes it."""
    return observed(dialled, "", host=host, password="p", tls=tls)


def handed(before: StorageState) -> Any:
    """Return the connection Secret that a first pass makes."""
    (step,) = decided(before).steps
    assert isinstance(step, Write)
    return {**step.obj, "metadata": {**step.obj["metadata"], "uid": "uid-4", "resourceVersion": "4"}}


def test_a_secret_may_say_where_the_store_is_and_the_status_tells_once_it_works() -> None:
    decision = decided(hosted())
    assert handed_out(decision)["REDIS_URL"] == "rediss://:p@cache.example.com:6379"
    assert decision.status is not None
    assert decision.status["endpoint"] == "rediss://cache.example.com:6379"
    assert condition(decision, "ProxiesSupported")["reason"] == "TlsWithSystemRoots"


def test_a_storage_that_changes_from_a_url_to_a_secret_in_place_keeps_its_consumers_connected() -> None:
    """The webhook and the reconciler's other queue see the new spec with the status of before."""
    decision = decided(observed(OK, "redis://redis-master", password="p"))
    assert decision.status is not None
    assert decision.status["endpoint"] == "redis://redis-master.team.svc:6379"
    assert connected(decision, {"secretRef": "theirs"}, "team")["address"] == "redis-master.team.svc:6379"


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_what_a_secret_says_of_a_place_is_told_nobody_before_a_store_has_answered_there(outcome: Outcome) -> None:
    """Who mixes the keys up has the password where the host should be."""
    decision = decided(hosted(DialResult(outcome, "seen"), host="hunter2.secret"))
    assert decision.steps == ()
    assert "hunter2" not in repr(decision)
    assert condition(decision)["message"].startswith("the store that Secret theirs names: seen: ")
    assert decision.status is not None
    assert "endpoint" not in decision.status


def test_consumers_follow_a_store_that_moves_and_restart() -> None:
    before = with_connection(hosted(host="new.example.com"), handed(hosted()))
    decision = decided(before)
    assert handed_out(decision)["REDIS_URL"] == "rediss://:p@new.example.com:6379"
    assert decision.status is not None
    assert decision.status["endpoint"] == "rediss://new.example.com:6379"
    assert decision.status["rotation"]["phase"] == "Published"


@pytest.mark.parametrize(("former", "reason"), [(OK, "StorageReady"), (DialResult(Outcome.DNS), "TimedOut")])
def test_consumers_keep_a_place_as_long_as_the_next_one_does_not_answer(former: DialResult, reason: str) -> None:
    moved = with_connection(hosted(DialResult(Outcome.TIMEOUT), host="new.example.com", tls="false"), handed(hosted()))
    assert moved.external is not None
    decision = decided(replace(moved, external=replace(moved.external, dialled_as_published=former)))
    assert decision.steps == ()
    assert decision.status is not None
    assert decision.status["endpoint"] == "rediss://cache.example.com:6379"
    assert condition(decision)["reason"] == reason
    # It is about the connection that consumers have, not about the one that does not work.
    assert condition(decision, "ProxiesSupported")["reason"] == "TlsWithSystemRoots"
    if former == OK:
        assert condition(decision, "CredentialHandedOn")["reason"] == "TimedOut"
    assert "new.example.com" not in repr(decision)


@pytest.mark.parametrize("secret", [None, {}, {"data": identities.encoded({"host": "a.b", "password": ""})}], ids=repr)
def test_consumers_stay_connected_while_their_secret_is_away_or_spoilt(secret: Any) -> None:
    before = with_connection(hosted(), handed(hosted()))
    assert before.external is not None
    lost = replace(seen(secret, {"secretRef": "theirs"}), published=before.external.published, serves_tls=True)
    decision = decided(replace(before, external=lost))
    assert decision.steps == ()
    assert decision.status is not None
    assert decision.status["endpoint"] == "rediss://cache.example.com:6379"
    assert condition(decision)["reason"] == ("SecretNotFound" if secret is None else "SecretKeyMissing")
    assert condition(decision, "ProxiesSupported")["status"] == "True"


def test_a_store_that_a_secret_places_is_at_rest_once_all_is_written() -> None:
    before = hosted()
    first = decided(before)
    second = decided(settled(with_connection(before, handed(before)), first.status))
    assert (second.steps, second.status, second.events) == ((), None, ())


def connected(decision: Plan, external: Any, namespace: str) -> Any:
    """Return `spec.sessionStorage` of a server, once the status that was planned is written."""
    storage = {
        "metadata": {"name": "mine", "namespace": "team"},
        "spec": {"external": external, "allowedNamespaces": ["*"]},
        "status": decision.status,
    }
    consumer = {"kind": "MCPServer", "metadata": {"name": "srv", "namespace": namespace}, "spec": {}}
    reference = StorageReference("team", "mine")
    return desired(consumer, reference, storage, InjectionContext()).consumer["spec"]["sessionStorage"]


@pytest.mark.parametrize(("namespace", "secret"), [("team", "mine-connection"), ("other", "team.mine-connection")])
def test_the_user_default_and_the_bare_name_of_a_service_reach_proxies(namespace: str, secret: str) -> None:
    external = {"url": "redis://redis-master:6379", "secretRef": "theirs"}
    decision = decided(observed(OK, external["url"], password="p", username="default"))
    assert connected(decision, external, namespace) == {
        "provider": "redis",
        "address": "redis-master.team.svc:6379",
        "db": 0,
        "keyPrefix": names.key_prefix("MCPServer", namespace, "srv"),
        "passwordRef": {"name": secret, "key": "REDIS_PASSWORD"},
    }


@pytest.mark.parametrize("namespace", ["team", "other"])
def test_what_a_secret_says_of_a_place_reaches_proxies(namespace: str) -> None:
    found = connected(decided(hosted()), {"secretRef": "theirs"}, namespace)
    assert (found["address"], found["tls"]) == ("cache.example.com:6379", {})
