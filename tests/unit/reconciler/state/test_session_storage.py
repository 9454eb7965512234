"""The facts of a SessionStorage that the planner uses."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.state.session_storage import DeclaredStorage, Requests
from shared import names
from shared.session_storage.sizes import Size
from shared.session_storage.status import SessionStorageStatus
from tests.support.storages import CREATED, session_storage

CONDITION = {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": CREATED}


def test_a_storage_has_its_identity_and_its_spec() -> None:
    storage = DeclaredStorage.of(session_storage({"size": "large"}, generation=7))
    assert (storage.key, storage.uid, storage.generation, storage.is_terminating) == (
        ("team", "mine"),
        "uid-1",
        7,
        False,
    )
    assert storage.spec is not None
    assert (storage.spec.size, storage.spec_problem, storage.requests) == (Size.LARGE, "", Requests())


def test_a_storage_that_somebody_deleted_says_so() -> None:
    assert DeclaredStorage.of(session_storage({}, deletionTimestamp=CREATED)).is_terminating


def test_each_annotation_asks_for_its_own_thing() -> None:
    asked = {
        names.ANNOTATION_ROTATE: "one",
        names.ANNOTATION_ROTATE_FORCE: "two",
        names.ANNOTATION_SWITCHOVER: "three",
        names.ANNOTATION_PROMOTE: "four",
        "others.example/rotate-secret": "five",
    }
    expected = Requests(rotation="one", forced_rotation="two", switchover="three", promotion="four")
    assert DeclaredStorage.of(session_storage({}, annotations=asked)).requests == expected


@pytest.mark.parametrize("spec", [None, [], {"size": "huge"}, {"external": {"url": "redis://:hunter2@there"}}], ids=str)
def test_the_message_of_a_malformed_spec_omits_its_values(spec: object) -> None:
    storage = DeclaredStorage.of(session_storage(spec))
    assert storage.spec is None
    assert storage.spec_problem.startswith("spec")
    assert "hunter2" not in repr(storage)


def test_the_last_status_is_read_as_the_reconciler_wrote_it() -> None:
    status = {"phase": "Ready", "size": "small", "observedGeneration": 1, "conditions": [CONDITION]}
    storage = DeclaredStorage.of({**session_storage({}), "status": status})
    assert storage.status.to_object() == status
    ready = storage.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("True", "R")
    assert storage.condition("Available") is None


@pytest.mark.parametrize(
    "status", [None, {}, {"phase": "Odd"}, {"conditions": [{"type": "Ready"}]}, {"conditions": "none"}, "text"], ids=str
)
def test_a_status_that_the_schema_does_not_allow_counts_as_none(status: Any) -> None:
    assert DeclaredStorage.of({**session_storage({}), "status": status}).status == SessionStorageStatus()


def test_a_time_without_a_zone_counts_as_none() -> None:
    local = {**CONDITION, "lastTransitionTime": CREATED.removesuffix("Z")}
    assert DeclaredStorage.of({**session_storage({}), "status": {"conditions": [local]}}).condition("Ready") is None


def test_many_unknown_fields_are_told_in_a_word() -> None:
    reference = {"name": "theirs"} | dict.fromkeys(("x" * 10_000, *map(str, range(1000))), "hunter2")
    storage = {"metadata": {"name": "mine", "namespace": "team"}, "spec": {"external": {"secretRef": reference}}}
    declared = DeclaredStorage.of(storage)
    assert declared.spec_problem == "spec.external.secretRef: Invalid value: unknown fields"
