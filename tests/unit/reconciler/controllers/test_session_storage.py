"""How many storages may be updated at the same time, and what goes with one that is gone."""

from __future__ import annotations

from typing import Any

from reconciler.controllers.session_storage import Reconciler, UpdateSlots
from shared.kubernetes.informer import Informer
from shared.objects.resources import SESSION_STORAGES, Key, Object
from tests.support.fakes import FakeApi
from tests.support.storages import NOW, SETTINGS

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


class Memory:
    """An observer and an applier that only know which storages they have forgotten."""

    def __init__(self) -> None:
        self.forgotten: list[Key] = []

    def forget(self, storage: Key) -> None:
        self.forgotten.append(storage)

    def copies_of(self, storage: Key) -> list[Object]:
        del storage
        return []


async def test_nothing_is_remembered_of_a_storage_that_is_gone() -> None:
    observer, applier, storages = Memory(), Memory(), Informer(FakeApi(), SESSION_STORAGES)
    parts: Any = {"observer": observer, "applier": applier, "settings": SETTINGS, "clock": lambda: NOW}
    assert await Reconciler(storages=storages, slots=UpdateSlots(1), **parts).reconcile(ONE) is None
    assert (observer.forgotten, applier.forgotten) == ([ONE], [ONE])
