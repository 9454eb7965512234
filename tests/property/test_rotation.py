"""Whatever happens at any point of a rotation, the consumers' passwords are accepted, and the rotation ends."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from shared import errors
from tests.support.drill import Drill, acting, assert_gone, passwords
from tests.support.faults import FAULTS, Fault


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_killed_at_every_effect_a_rotation_ends_as_if_nothing_had_been(when: str, fault: Fault) -> None:
    """For each effect: the process dies before or after it, a fault happens, and the process starts anew."""
    for number in itertools.count(1):
        drill = Drill()
        await drill.start()
        old = passwords(drill)
        drill.killed_at = (number, when)
        await drill.ask("one")
        await drill.until_killed_or_over("one")
        if drill.killed_at is not None:
            assert number > 40, "the rotation had too few effects for this to test anything"
            return
        await fault(drill)
        await drill.finish("one")
        assert_gone(drill, old)


@pytest.mark.parametrize("phase", ["Pending", "Added", "Published", "AwaitConsumers", "Discarding"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_fault_in_any_phase_does_not_stop_a_rotation(phase: str, fault: Fault) -> None:
    drill = Drill()
    await drill.start()
    old = passwords(drill)
    await drill.ask("one")
    await drill.until(lambda: drill.phase == phase)
    await fault(drill)
    await drill.finish("one")
    assert_gone(drill, old)


@pytest.mark.parametrize("made", range(10))
async def test_a_leader_of_the_past_does_no_harm_however_late_it_acts(made: int) -> None:
    """The former leader plans after `made` passes of a rotation, and carries its plan out up to 15 passes later."""
    for late in range(1, 16):
        drill = Drill()
        await drill.start()
        old = passwords(drill)
        await drill.ask("one")
        for _ in range(made):
            await drill.step()
        await drill.simulation.look()
        past = await drill.simulation.decide()
        for _ in range(late):
            await drill.step()
        with acting(drill), contextlib.suppress(errors.SessionStorageError):
            await drill.simulation.carry_out(*past)
        await drill.finish("one")
        assert_gone(drill, old)
