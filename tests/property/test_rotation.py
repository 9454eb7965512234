"""Whatever happens when in a rotation, what consumers are handed gets them in, and the rotation ends by itself."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from shared import errors
from tests.support.drill import FAULTS, Drill, Fault, acting, assert_gone, passwords


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_killed_at_every_effect_a_rotation_ends_as_if_nothing_had_been(when: str, fault: Fault) -> None:
    """Of each effect: the process dies before or after it, something else goes wrong, and it starts anew."""
    for number in itertools.count(1):
        drill = Drill()
        await drill.start()
        old = passwords(drill)
        drill.killed_at = (number, when)
        await drill.ask("one")
        await drill.until_killed_or_over("one")
        if drill.killed_at is not None:
            assert number > 40, "there must have been effects to be killed at"
            return
        await fault(drill)
        await drill.finish("one")
        assert_gone(drill, old)


@pytest.mark.parametrize("phase", ["Pending", "Added", "Published", "AwaitConsumers", "Discarding"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_what_goes_wrong_in_a_phase_does_not_stop_it(phase: str, fault: Fault) -> None:
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
    """Its plan was made after so many passes of a rotation, and is carried out after any number of further ones."""
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
