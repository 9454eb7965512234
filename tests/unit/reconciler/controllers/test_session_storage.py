"""How many storages may be updated at the same time."""

from __future__ import annotations

from reconciler.controllers.session_storage import UpdateSlots

ONE, TWO, THREE = ("team", "one"), ("team", "two"), ("other", "one")


def test_no_more_storages_begin_an_update_than_may_change_at_once() -> None:
    slots = UpdateSlots(2)
    for storage in (ONE, TWO):
        assert slots.may_take(storage)
        slots.note(storage, is_changing=True)
    assert not slots.may_take(THREE)


def test_a_storage_that_has_begun_may_go_on() -> None:
    slots = UpdateSlots(1)
    slots.note(ONE, is_changing=True)
    assert slots.may_take(ONE)
    assert not slots.may_take(TWO)


def test_a_storage_that_is_done_makes_room_for_the_next() -> None:
    slots = UpdateSlots(1)
    slots.note(ONE, is_changing=True)
    slots.note(ONE, is_changing=False)
    assert slots.may_take(TWO)


def test_a_storage_that_never_began_makes_no_room() -> None:
    slots = UpdateSlots(1)
    slots.note(ONE, is_changing=True)
    slots.note(TWO, is_changing=False)
    assert not slots.may_take(TWO)


def test_updates_that_a_former_leader_began_are_recognised() -> None:
    """More updates than may begin can be under way then; none is stopped half-way."""
    slots = UpdateSlots(1)
    for storage in (ONE, TWO):
        slots.note(storage, is_changing=True)
    assert slots.may_take(ONE)
    assert slots.may_take(TWO)
    assert not slots.may_take(THREE)
