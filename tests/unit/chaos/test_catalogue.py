"""Which faults there are, and in which order they strike."""

from __future__ import annotations

import random
import re

from shared.session_storage.sizes import Size
from tests.chaos.catalogue import BY_NAME, FAULTS
from tests.chaos.faults import planned, sequences
from tests.chaos.floor import first_after
from tests.chaos.suite import Plan


def test_names_are_unique_and_fit_the_command_line() -> None:
    assert len(BY_NAME) == len(FAULTS)
    assert all(re.fullmatch(r"[a-z-]+", name) for name in BY_NAME)


def test_every_fault_strikes_a_size() -> None:
    assert all(fault.targets for fault in FAULTS)


def test_every_planned_change_is_made_to_every_size() -> None:
    assert all(set(BY_NAME[name].targets) == set(Size) for name in ("switchover", "drain", "image", "resize"))


def test_a_resize_changes_the_size() -> None:
    assert all(before != after for before, after in planned.NEXT.items())


def plan(seed: int = 7) -> Plan:
    return Plan([BY_NAME["sigkill"], BY_NAME["drain"]], list(Size), 2, seed)


def test_runs_on_one_size_follow_each_other() -> None:
    steps = [(size.value, fault.name) for size, fault, _ in plan().steps()]
    of_small = [("small", "drain")] * 2
    assert steps == of_small + [
        (size, name) for size in ("medium", "large") for name in ("sigkill",) * 2 + ("drain",) * 2
    ]


def test_random_choices_repeat_for_the_same_seed_and_differ_from_run_to_run() -> None:
    def drawn(seed: int) -> list[float]:
        return [rng.random() for _, _, rng in plan(seed).steps()]

    assert drawn(7) == drawn(7) != drawn(8)
    assert len(set(drawn(7))) == len(drawn(7))


def test_a_sequence_follows_from_its_seed() -> None:
    chosen = sequences.choose(random.Random(3))
    assert chosen == sequences.choose(random.Random(3))
    assert len(chosen) == sequences.LENGTH


def test_a_move_ends_when_the_new_server_first_answers() -> None:
    heard = [(1.0, "a"), (2.0, "b"), (3.0, "a"), (4.0, "b")]
    assert first_after(heard, 2.5, "b") == 4.0
    assert first_after(heard, 4.5, "a") is None
