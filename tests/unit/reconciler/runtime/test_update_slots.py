"""How many storages may be updated at the same time."""

from __future__ import annotations

from reconciler.runtime.update_slots import PATIENCE_SECONDS, UpdateSlots

ONE, TWO, THREE = ("team", "one"), ("team", "two"), ("other", "one")


class Clock:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_no_more_storages_begin_an_update_than_may_change_at_once() -> None:
    slots = UpdateSlots(2, Clock())
    for storage in (ONE, TWO):
        assert slots.may_take(storage)
        slots.note(storage, is_changing=True)
    assert not slots.may_take(THREE)


def test_a_storage_that_has_begun_may_go_on() -> None:
    slots = UpdateSlots(1, Clock())
    slots.note(ONE, is_changing=True)
    assert slots.may_take(ONE)
    assert not slots.may_take(TWO)


def test_a_storage_that_is_done_makes_room_for_the_next() -> None:
    slots = UpdateSlots(1, Clock())
    slots.note(ONE, is_changing=True)
    slots.note(ONE, is_changing=False)
    assert slots.may_take(TWO)


def test_a_storage_that_never_began_makes_no_room() -> None:
    slots = UpdateSlots(1, Clock())
    slots.note(ONE, is_changing=True)
    slots.note(TWO, is_changing=False)
    assert not slots.may_take(TWO)


def test_updates_that_a_former_leader_began_are_recognised() -> None:
    """More updates than may begin can be under way then; none is stopped half-way."""
    slots = UpdateSlots(1, Clock())
    for storage in (ONE, TWO):
        slots.note(storage, is_changing=True)
    assert slots.may_take(ONE)
    assert slots.may_take(TWO)
    assert not slots.may_take(THREE)


def test_a_storage_that_gets_nowhere_gives_its_slot_back() -> None:
    clock = Clock()
    slots = UpdateSlots(1, clock)
    slots.note(ONE, is_changing=True, progress="restarting 0")
    for progress in ("waiting", "restarting 0", "waiting"):
        clock.now += PATIENCE_SECONDS / 3
        slots.note(ONE, is_changing=True, progress=progress)
    assert slots.may_take(ONE)
    clock.now += PATIENCE_SECONDS / 2
    slots.note(ONE, is_changing=True, progress="restarting 0")
    assert slots.gave_back(ONE)
    assert not slots.may_take(ONE)
    assert slots.may_take(TWO)


def test_a_storage_that_gets_on_keeps_its_slot_as_long_as_it_takes() -> None:
    clock = Clock()
    slots = UpdateSlots(1, clock)
    for number in range(5):
        slots.note(ONE, is_changing=True, progress=f"restarting {number}")
        clock.now += PATIENCE_SECONDS * 0.9
    assert slots.may_take(ONE)
    assert not slots.may_take(TWO)


def test_a_storage_that_gave_its_slot_back_may_take_it_again_later() -> None:
    clock = Clock()
    slots = UpdateSlots(1, clock)
    slots.note(ONE, is_changing=True)
    clock.now += PATIENCE_SECONDS
    slots.note(ONE, is_changing=True)
    assert slots.gave_back(ONE)
    clock.now += PATIENCE_SECONDS
    assert slots.may_take(ONE)


def test_a_storage_that_is_gone_leaves_nothing_behind() -> None:
    clock = Clock()
    slots = UpdateSlots(1, clock)
    slots.note(ONE, is_changing=True)
    clock.now += PATIENCE_SECONDS
    slots.note(ONE, is_changing=True)
    slots.forget(ONE)
    assert not slots.gave_back(ONE)
