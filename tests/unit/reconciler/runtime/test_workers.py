"""Workers process many keys at once, one pass per key at a time, and no failure stops the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from reconciler.runtime import workers
from reconciler.runtime import workqueue as queue_module
from reconciler.runtime.workqueue import WorkQueue
from shared import errors
from shared.objects.resources import Key

A, B = ("team", "a"), ("team", "b")


@contextlib.asynccontextmanager
async def working(queue: WorkQueue, reconcile: Callable[[Key], Awaitable[float | None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(workers.run(queue, reconcile))
    try:
        async with asyncio.timeout(5):
            yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task})
        for timer in queue._timers.values():
            timer.cancel()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "FIRST_BACKOFF_SECONDS", 0.001)


async def test_eight_keys_are_worked_on_at_once_and_each_by_one_worker() -> None:
    queue, running, reached = WorkQueue(), list[Key](), asyncio.Event()
    keys = [("team", str(number)) for number in range(8)]

    async def reconcile(key: Key) -> None:
        assert key not in running
        running.append(key)
        if len(running) == len(keys):
            reached.set()
        await asyncio.Event().wait()

    for key in keys * 2:
        queue.add(key)
    async with working(queue, reconcile):
        await reached.wait()
        for key in keys:
            queue.add(key)
        await asyncio.sleep(0)
    assert sorted(running) == keys


@pytest.mark.parametrize("error", [errors.Unavailable("503"), errors.Conflict("409"), KeyError("a bug")], ids=repr)
async def test_a_failed_pass_is_tried_again_and_others_go_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    queue, failures, done = WorkQueue(), iter([error, error, None]), asyncio.Event()
    passes: list[Key] = []

    async def reconcile(key: Key) -> None:
        passes.append(key)
        if key == A:
            if failure := next(failures):
                raise failure
            done.set()

    queue.add(A)
    queue.add(B)
    async with working(queue, reconcile):
        await done.wait()
        await asyncio.sleep(0)
    assert (passes.count(A), passes.count(B)) == (3, 1)
    assert len([record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]) == 2
    assert queue._failures == {}


async def test_a_pass_says_when_to_come_back() -> None:
    queue, passes, done = WorkQueue(), iter([0.001, 0.0, None]), asyncio.Event()

    async def reconcile(key: Key) -> float | None:
        pause = next(passes)
        if pause is None:
            done.set()
        return pause

    queue.add(A)
    async with working(queue, reconcile):
        await done.wait()
        await asyncio.sleep(0)
        assert len(queue) == 0
        assert queue._timers == {}


async def test_a_change_during_a_pass_is_not_lost() -> None:
    queue, twice = WorkQueue(), asyncio.Event()
    passes: list[Key] = []

    async def reconcile(key: Key) -> None:
        passes.append(key)
        if len(passes) == 1:
            queue.add(key)
        else:
            twice.set()

    queue.add(A)
    async with working(queue, reconcile):
        await twice.wait()
    assert passes == [A, A]
