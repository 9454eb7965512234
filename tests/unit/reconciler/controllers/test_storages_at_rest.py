"""Primaries are checked while looks come rarely, which is while a storage is at rest, and only then."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.actions.plan import STEADY_SECONDS
from reconciler.observe import write_checks
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
