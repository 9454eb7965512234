"""How many storages are brought up to date at the same time."""

from __future__ import annotations

from reconciler.controllers.update_slots import Turns

ONE, TWO, THREE = ("team", "one"), ("team", "two"), ("other", "one")


def test_no_more_storages_begin_than_may_change_at_once() -> None:
    turns = Turns(2)
    for storage in (ONE, TWO):
        assert turns.may_begin(storage)
        turns.note(storage, is_changing=True)
    assert not turns.may_begin(THREE)


def test_who_has_begun_may_go_on() -> None:
    turns = Turns(1)
    turns.note(ONE, is_changing=True)
    assert turns.may_begin(ONE)
    assert not turns.may_begin(TWO)


def test_who_is_done_makes_room_for_the_next() -> None:
    turns = Turns(1)
    turns.note(ONE, is_changing=True)
    turns.note(ONE, is_changing=False)
    assert turns.may_begin(TWO)


def test_who_never_began_makes_no_room() -> None:
    turns = Turns(1)
    turns.note(ONE, is_changing=True)
    turns.note(TWO, is_changing=False)
    assert not turns.may_begin(TWO)


def test_what_a_leader_of_the_past_began_is_found_out_again() -> None:
    """More than may begin can be under way then; none of them is stopped half-way."""
    turns = Turns(1)
    for storage in (ONE, TWO):
        turns.note(storage, is_changing=True)
    assert turns.may_begin(ONE)
    assert turns.may_begin(TWO)
    assert not turns.may_begin(THREE)
