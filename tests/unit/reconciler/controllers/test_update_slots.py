"""How many storages are brought up to date at the same time."""

from __future__ import annotations

from reconciler.controllers.update_slots import UpdateSlots

ONE, TWO, THREE = ("team", "one"), ("team", "two"), ("other", "one")


def test_no_more_storages_begin_than_may_change_at_once() -> None:
    slots = UpdateSlots(2)
    for storage in (ONE, TWO):
        assert slots.is_available(storage)
        slots.record(storage, is_updating=True)
    assert not slots.is_available(THREE)


def test_who_has_begun_may_go_on() -> None:
    slots = UpdateSlots(1)
    slots.record(ONE, is_updating=True)
    assert slots.is_available(ONE)
    assert not slots.is_available(TWO)


def test_who_is_done_makes_room_for_the_next() -> None:
    slots = UpdateSlots(1)
    slots.record(ONE, is_updating=True)
    slots.record(ONE, is_updating=False)
    assert slots.is_available(TWO)


def test_who_never_began_makes_no_room() -> None:
    slots = UpdateSlots(1)
    slots.record(ONE, is_updating=True)
    slots.record(TWO, is_updating=False)
    assert not slots.is_available(TWO)


def test_what_a_leader_of_the_past_began_is_found_out_again() -> None:
    """More than may begin can be under way then; none of them is stopped half-way."""
    slots = UpdateSlots(1)
    for storage in (ONE, TWO):
        slots.record(storage, is_updating=True)
    assert slots.is_available(ONE)
    assert slots.is_available(TWO)
    assert not slots.is_available(THREE)
