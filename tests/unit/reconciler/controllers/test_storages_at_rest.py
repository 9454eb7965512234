"""Primaries are checked while looks come rarely, which is while a storage is at rest, and only then."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.actions.plan import STEADY_SECONDS
from reconciler.apply.applier import Applier, Failures
from reconciler.observe import write_checks
from shared import names
from shared.objects.resources import SESSION_STORAGES
from tests.support.background import beside
from tests.support.simulated import KEY, Simulation


async def settled(size: str) -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size=size)
    await simulation.settle()
    return simulation


@pytest.mark.parametrize(("size", "fence"), [("small", 0), ("medium", 0), ("large", 1)])
async def test_the_primary_of_a_storage_at_rest_is_checked_and_reported_until_a_look_finds_it_well_again(
    size: str, fence: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_checks, "PERIOD_SECONDS", 0.0)
    mine = await settled(size)
    for _ in range(2):
        assert await mine.reconcile() == STEADY_SECONDS
        mine.asked.clear()
        async with beside(mine.write_checks.run()), asyncio.timeout(5):
            assert await mine.hastened.get() == KEY
        assert mine.asked == [(mine.primary, 6379, fence)]
        assert mine.hastened.empty()
        assert len(mine.write_checks) == 0


async def test_the_primary_of_a_storage_that_is_not_well_is_not_checked() -> None:
    mine = await settled("large")
    await mine.reconcile()
    assert len(mine.write_checks) == 1
    (_, replica, _) = mine.valkey.instances.values()
    replica.is_reachable = False
    assert await mine.reconcile() != STEADY_SECONDS
    assert len(mine.write_checks) == 0


async def test_the_primary_of_a_storage_that_is_changing_is_not_checked() -> None:
    mine = await settled("small")
    await mine.reconcile()
    assert len(mine.write_checks) == 1
    await mine.ask_for(size="large")
    await mine.reconcile()
    assert len(mine.write_checks) == 0
    await mine.settle()
    await mine.reconcile()
    assert len(mine.write_checks) == 1


async def test_a_storage_that_waits_for_a_person_is_not_at_rest_although_looks_come_rarely() -> None:
    """Whatever its primary refuses, no look would change that."""
    mine = await settled("small")
    await mine.reconcile()
    assert len(mine.write_checks) == 1
    await mine.ask_for(size="enormous")
    pause = await mine.reconcile()
    assert pause is not None
    assert pause > STEADY_SECONDS
    assert len(mine.write_checks) == 0


async def test_a_primary_that_is_about_to_move_is_not_checked_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = await settled("large")
    await mine.reconcile()
    checked = list[int]()

    async def carry_out(*_: object) -> Failures:
        checked.append(len(mine.write_checks))
        return Failures()

    monkeypatch.setattr(Applier, "carry_out", carry_out)
    await mine.edit(SESSION_STORAGES, KEY[1], {"metadata": {"annotations": {names.ANNOTATION_SWITCHOVER: "now"}}})
    await mine.reconcile()
    assert checked == [0]
