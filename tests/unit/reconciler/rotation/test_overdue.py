"""A storage that accepts a password older than its schedule allows says so, and why, in words that stay the same."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.plan.planner import plan
from reconciler.rotation.overdue import OVERDUE, password_overdue
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.storage_state import StorageState
from shared.objects.conditions import Finding
from shared.objects.timestamps import written
from tests.support.storages import CREATED, NOW, SETTINGS, observed, session_storage, settled, with_child

DAY = timedelta(hours=24)
AUTH = ("secrets", "mine-auth")


NEVER = RotationRecord()


def rotating(record: RotationRecord = NEVER, *, made: str = CREATED, is_due: bool = False) -> StorageState:
    """Observe a storage that is to rotate daily, with the record of its newest rotation."""
    storage = session_storage({"size": "small", "rotation": {"every": "24h"}})
    before = observed("small", storage=storage, is_rotation_due=is_due)
    auth = copy.deepcopy(before.children[AUTH])
    auth["metadata"]["creationTimestamp"] = made
    return with_child(before, AUTH, record.put_on(auth))


def old(age: timedelta, *, is_over: bool = True) -> RotationRecord:
    """Build the record of a rotation whose passwords, or the ones that it replaces, are so old."""
    if is_over:
        return RotationRecord().start("", "r", NOW - age).end(NOW - age)
    return RotationRecord(begun=written(NOW - age)).start("", "r", NOW - timedelta(minutes=1))


def told(before: StorageState) -> Finding | None:
    return password_overdue(before, NOW)


def reason(before: StorageState) -> tuple[str, str] | None:
    found = told(before)
    return (found.status, found.reason) if found is not None else None


LATE = DAY + timedelta(hours=1)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(rotating(old(LATE)), "OthersRotateFirst", id="it waits for its turn"),
        pytest.param(rotating(made=written(NOW - LATE)), "OthersRotateFirst", id="it never rotated"),
        pytest.param(rotating(old(LATE), is_due=True), "RotationCannotBegin", id="it cannot begin"),
        pytest.param(rotating(old(LATE, is_over=False)), "RotationUnfinished", id="the former one is accepted still"),
    ],
)
def test_a_password_that_is_too_old_is_reported_with_the_reason(before: StorageState, expected: str) -> None:
    assert reason(before) == ("True", expected)


@pytest.mark.parametrize(
    "before",
    [
        rotating(old(DAY)),
        rotating(old(DAY, is_over=False)),
        rotating(made=written(NOW - DAY)),
        observed("small"),
        observed("small", storage=session_storage({"external": {"url": "redis://there"}, "rotation": {"every": "1h"}})),
    ],
)
def test_a_password_that_its_schedule_allows_needs_no_word(before: StorageState) -> None:
    assert told(before) is None


def test_the_condition_says_once_that_it_is_over() -> None:
    late = plan(rotating(old(LATE)), SETTINGS, NOW)
    assert reason(settled(rotating(old(DAY)), late.status)) == ("False", "Rotated")


def test_nothing_is_written_while_a_storage_waits_for_its_turn() -> None:
    before = rotating(old(LATE))
    first = plan(before, SETTINGS, NOW)
    assert [(event.type, event.reason) for event in first.events if event.reason == "OthersRotateFirst"] == [
        ("Warning", "OthersRotateFirst")
    ]
    later = plan(settled(before, first.status), SETTINGS, NOW + timedelta(hours=1))
    assert (later.status, later.events) == (None, ())


def test_a_storage_that_is_not_ready_says_so_as_well() -> None:
    before = rotating(old(LATE), is_due=True)
    taken = copy.deepcopy(before.children["configmaps", "mine-valkey"])
    taken["metadata"]["ownerReferences"] = [{"uid": "somebody-else", "controller": True}]
    decided = plan(with_child(before, ("configmaps", "mine-valkey"), taken), SETTINGS, NOW)
    assert decided.status is not None
    conditions = {item["type"]: item["reason"] for item in decided.status["conditions"]}
    assert (conditions["Ready"], conditions[OVERDUE]) == ("NameTaken", "RotationCannotBegin")


def test_a_rotation_remembers_when_the_passwords_were_made_that_it_replaces() -> None:
    def at(hours: int) -> datetime:
        return NOW + timedelta(hours=hours)

    first = RotationRecord().start("", "r", at(1), CREATED)
    assert (first.replaces, replace(first, ended="x").start("", "s", at(2), CREATED).replaces) == (
        CREATED,
        written(at(1)),
    )
