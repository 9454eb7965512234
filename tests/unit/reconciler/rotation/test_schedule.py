"""When a storage's scheduled rotation is due, and which of several storages rotates first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.rotation.phases import RotationSettings
from reconciler.rotation.schedule import due_at, is_due
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.session_storage import DeclaredStorage
from shared.objects.resources import Object
from shared.objects.timestamps import written

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
LONG_AGO = NOW - timedelta(days=30)


@given(st.text(), st.integers(1, 90_000))
def test_a_rotation_is_due_in_the_last_tenth_of_the_interval_and_always_at_the_same_time(uid: str, hours: int) -> None:
    every = timedelta(hours=hours)
    at = due_at(uid, every, LONG_AGO)
    assert LONG_AGO + every * 0.9 <= at <= LONG_AGO + every
    assert at == due_at(uid, every, LONG_AGO)


def test_storages_created_together_are_not_due_together() -> None:
    assert len({due_at(f"uid-{number}", DAY, NOW) for number in range(100)}) == 100


def storage(name: str = "mine", every: str | None = "24h", **spec: Any) -> Object:
    schedule = {} if every is None else {"rotation": {"every": every}}
    return {"metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}"}, "spec": {**schedule, **spec}}


def auth(begun: datetime | None = LONG_AGO, *, is_over: bool = True, created: datetime = LONG_AGO) -> Object:
    record = RotationRecord()
    if begun is not None:
        record = record.start("", "r", begun)
        record = record.end(begun) if is_over else record
    return record.put_on({"metadata": {"creationTimestamp": written(created)}})


def turn(mine: Object, *others: tuple[Object, Object], own: Object | None = None, at_once: int = 1) -> bool:
    known = [(mine, own or auth()), *others]
    secrets = {("team", f"{each['metadata']['name']}-auth"): secret for each, secret in known}
    settings = RotationSettings(scheduled_at_once=at_once)
    return is_due(DeclaredStorage.of(mine), [each for each, _ in known], secrets, settings, NOW)


@pytest.mark.parametrize(
    ("mine", "own", "expected"),
    [
        (storage(), auth(), True),
        (storage(), auth(None), True),
        (storage(), auth(NOW - DAY / 2), False),
        (storage(), auth(None, created=NOW - DAY / 2), False),
        (storage(), auth(is_over=False), False),
        (storage(every=None), auth(), False),
        (storage(every="0h"), auth(), False),
        (storage(external={"url": "redis://there"}), auth(), False),
    ],
)
def test_a_rotation_is_due_when_its_time_has_passed(mine: Object, own: Object, *, expected: bool) -> None:
    assert turn(mine, own=own) is expected


JUST_NOW = auth(NOW - timedelta(minutes=1), is_over=False)


def test_no_rotation_begins_while_another_storage_rotates() -> None:
    assert not turn(storage(), (storage("other", every=None), JUST_NOW))
    assert turn(storage(), (storage("other", every=None), JUST_NOW), at_once=2)


def test_a_rotation_that_is_stuck_holds_no_other_storages_turn_beyond_the_patience() -> None:
    began = NOW - RotationSettings().patience
    for moved, expected in ((began, True), (began + timedelta(seconds=1), False)):
        assert turn(storage(), (storage("other"), auth(moved, is_over=False))) is expected
    published = RotationRecord().start("", "r", LONG_AGO).publish(NOW - timedelta(minutes=1))
    assert not turn(storage(), (storage("other"), published.put_on({"metadata": {}}))), "it has just gone on"


@pytest.mark.parametrize(
    "cannot",
    [
        {"status": {"phase": "Failed"}},
        {"status": {"phase": "Pending"}},
        {"metadata": {**storage("a")["metadata"], "deletionTimestamp": written(NOW)}},
    ],
)
def test_a_storage_that_cannot_begin_its_rotation_holds_no_turn(cannot: Object) -> None:
    assert turn(storage("b"), ({**storage("a"), **cannot}, auth(LONG_AGO - timedelta(days=700))))
    assert not turn(storage("b"), (storage("a"), auth(LONG_AGO - timedelta(days=700))))


def test_of_two_that_are_due_at_the_same_moment_one_begins() -> None:
    first, second = storage("a"), storage("b")
    assert sorted([turn(first, (second, auth())), turn(second, (first, auth()))]) == [False, True]
