"""No namespace keeps the workers from the others."""

from __future__ import annotations

import asyncio

from reconciler.runtime.fair_workqueue import FairWorkQueue


def filled(**keys: int) -> FairWorkQueue:
    queue = FairWorkQueue(at_once=2)
    for namespace, count in keys.items():
        for number in range(count):
            queue.add((namespace, str(number)))
    return queue


async def drawn(queue: FairWorkQueue, count: int) -> list[str]:
    return ["/".join(await queue.get()) for _ in range(count)]


async def test_namespaces_take_turns() -> None:
    queue = filled(many=1000, few=1, some=2)
    assert await drawn(queue, 5) == ["many/0", "few/0", "some/0", "many/1", "some/1"]


async def test_a_namespace_that_has_its_share_waits_until_one_is_done() -> None:
    queue = filled(many=1000)
    assert await drawn(queue, 2) == ["many/0", "many/1"]
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(("few", "0"))
    assert await waiting == ("few", "0")
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done(("many", "1"))
    assert await waiting == ("many", "2")


async def test_a_key_that_is_added_during_its_pass_comes_again() -> None:
    queue = filled(one=1)
    key = await queue.get()
    queue.add(key)
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == key
    queue.done(key)
    assert len(queue) == 0


async def test_a_thousand_keys_of_one_namespace_delay_another_by_no_pass() -> None:
    queue, order, is_served = filled(many=1000), list[str](), asyncio.Event()

    async def work() -> None:
        while True:
            key = await queue.get()
            order.append(key[0])
            if key[0] == "few":
                is_served.set()
            await asyncio.sleep(0)
            queue.done(key)

    workers = [asyncio.ensure_future(work()) for _ in range(4)]
    await asyncio.sleep(0)
    before = len(order)
    queue.add(("few", "0"))
    await is_served.wait()
    assert order.index("few") - before <= 2
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_what_is_done_leaves_nothing_behind() -> None:
    queue = filled(a=3, b=2)
    for _ in range(5):
        queue.done(await queue.get())
    assert (queue._turns._lines, dict(queue._turns._taken)) == ({}, {})
