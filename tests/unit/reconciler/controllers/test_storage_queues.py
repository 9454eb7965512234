"""Managed storages never wait for users' own stores."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from reconciler.controllers.storage_queues import DIALS_AT_ONCE, DIALS_AT_ONCE_PER_NAMESPACE, StorageQueues
from reconciler.runtime.workers import Name
from shared.objects.resources import Key, Object

MANAGED: Object = {"spec": {"size": "small"}}
EXTERNAL: Object = {"spec": {"external": {"url": "redis://there"}}}


@contextlib.asynccontextmanager
async def running(queues: StorageQueues, world: World) -> AsyncIterator[None]:
    tasks = [
        asyncio.ensure_future(run)
        for run in (queues.run_managed(world.reconcile_managed), queues.run_external(world.reconcile_external))
    ]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class World:
    """Storages, and what reconciles them: looks at users' own stores hang until they are released."""

    def __init__(self, **storages: Object) -> None:
        self.storages: dict[Key, Object] = {("team", name): storage for name, storage in storages.items()}
        self.released = asyncio.Event()
        self.managed: list[Name] = []
        self.external: list[Name] = []
        self.hanging: Counter[str] = Counter()

    async def reconcile_managed(self, key: Name) -> float | None:
        self.managed.append(key)
        return None

    async def reconcile_external(self, key: Name) -> float | None:
        self.external.append(key)
        self.hanging[key[0]] += 1
        await self.released.wait()
        return None


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_thousand_stores_that_do_not_answer_delay_no_managed_storage() -> None:
    world = World(mine=MANAGED)
    world.storages |= {(f"ns-{number % 3}", f"s-{number}"): EXTERNAL for number in range(1000)}
    queues = StorageQueues(world.storages.get)
    async with running(queues, world):
        for key in world.storages:
            if key != ("team", "mine"):
                queues.add(key)
        await settle()
        queues.add(("team", "mine"))
        await settle()
        assert world.managed == [("team", "mine")]
        assert max(world.hanging.values()) == DIALS_AT_ONCE_PER_NAMESPACE
        assert world.hanging.total() <= DIALS_AT_ONCE
        world.storages["small", "s"] = EXTERNAL
        queues.add(("small", "s"))
        await settle()
        assert world.hanging["small"] == 1
        assert len(queues) == 1000 - 3 * DIALS_AT_ONCE_PER_NAMESPACE


async def test_a_storage_that_is_gone_is_cleaned_up_among_the_managed_ones() -> None:
    world = World()
    queues = StorageQueues(world.storages.get)
    async with running(queues, world):
        queues.add(("team", "gone"))
        await settle()
    assert (world.managed, world.external) == ([("team", "gone")], [])


async def test_a_storage_that_was_made_anew_as_one_of_the_other_sort_changes_queues() -> None:
    world = World(was_managed=MANAGED, was_external=EXTERNAL)
    queues = StorageQueues(world.storages.get)
    queues.add(("team", "was_managed"))
    queues.add(("team", "was_external"))
    world.storages = {("team", "was_managed"): EXTERNAL, ("team", "was_external"): MANAGED}
    queues._find = world.storages.get
    async with running(queues, world):
        await settle()
        assert (world.managed, world.external) == ([("team", "was_external")], [("team", "was_managed")])


async def test_pods_that_borrow_the_labels_of_an_external_storage_give_it_no_turn_of_others() -> None:
    world = World(mine=MANAGED)
    world.storages |= {("hostile", f"s-{number}"): EXTERNAL for number in range(100)}
    queues = StorageQueues(world.storages.get)
    async with running(queues, world):
        for key in world.storages:
            queues.hasten(key)
        await settle()
        assert world.managed == [("team", "mine")]
        assert world.hanging["hostile"] == DIALS_AT_ONCE_PER_NAMESPACE
