"""When a storage may be deleted."""

from __future__ import annotations

from typing import Any

import pytest

from shared.consumers.identity import Consumer, Usage
from webhook.admission import deletions
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny

STORAGE: Any = {"metadata": {"name": "mine", "namespace": "team", "uid": "8c1f"}}
FORCED: Any = {"metadata": STORAGE["metadata"] | {"annotations": {"toolhive.stacklok.dev/force-delete": "true"}}}


def users(count: int, *, is_terminating: bool = False) -> tuple[Usage, ...]:
    names = (f"srv-{number:02}" for number in range(count))
    return tuple(
        Usage(Consumer("MCPServer", "team", name), ("team", "mine"), is_terminating=is_terminating) for name in names
    )


def decide(usages: tuple[Usage, ...], storage: Any = STORAGE, namespaces: Any = None) -> Decision:
    request = AdmissionRequest("1", "DELETE", "team", "", None, storage)
    return deletions.decide(
        request, {("team", "mine"): STORAGE}, {("team", "mine"): usages}.__getitem__, namespaces or {}
    )


def test_a_storage_in_use_stays_and_its_consumers_are_named() -> None:
    decision = decide(users(2))
    assert isinstance(decision, Deny)
    assert decision.reason == "Conflict"
    (problem,) = decision.problems
    assert "MCPServer team/srv-00, MCPServer team/srv-01:" in problem
    assert "kubectl annotate sessionstorage mine -n team toolhive.stacklok.dev/force-delete=true" in problem


def test_of_many_consumers_some_are_named_and_the_rest_counted() -> None:
    decision = decide(users(12))
    assert isinstance(decision, Deny)
    assert "srv-09 and 2 more:" in decision.problems[0]
    assert "srv-10" not in decision.problems[0]


@pytest.mark.parametrize(
    ("usages", "storage", "namespaces"),
    [
        pytest.param((), STORAGE, {}, id="nobody uses it"),
        pytest.param(users(2, is_terminating=True), STORAGE, {}, id="all its consumers are being deleted"),
        pytest.param(users(1), FORCED, {}, id="forced"),
        pytest.param(
            users(1), STORAGE, {("", "team"): {"metadata": {"deletionTimestamp": "now"}}}, id="its namespace is going"
        ),
    ],
)
def test_a_storage_may_be_deleted(usages: Any, storage: Any, namespaces: Any) -> None:
    assert decide(usages, storage, namespaces) == Allow()


@pytest.mark.parametrize("value", ["yes", "True", "", None])
def test_only_true_forces(value: object) -> None:
    annotations = {"toolhive.stacklok.dev/force-delete": value}
    assert isinstance(decide(users(1), {"metadata": STORAGE["metadata"] | {"annotations": annotations}}), Deny)


@pytest.mark.parametrize("uid", ["", "a guess", None, 7])
def test_who_does_not_know_the_uid_of_the_storage_learns_nothing_of_its_consumers(uid: object) -> None:
    forged = {"metadata": STORAGE["metadata"] | {"uid": uid}}
    assert decide(users(2), forged) == decide((), forged) == Allow()


def test_a_storage_without_a_uid_in_the_cache_is_not_known_by_an_empty_one() -> None:
    bare: Any = {"metadata": {"name": "mine", "namespace": "team"}}
    request = AdmissionRequest("1", "DELETE", "team", "", None, bare)
    assert deletions.decide(request, {("team", "mine"): bare}, lambda _: users(1), {}) == Allow()
