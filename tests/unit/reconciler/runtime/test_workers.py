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
    task = asyncio.ensure_future(workers.run(queue, reconcile, "storage"))
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


async def test_a_hastened_key_does_not_wait_for_workers_that_all_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORKERS", 4)
    queue, hanging, urgent = WorkQueue(), list[Key](), asyncio.Event()

    async def reconcile(key: Key) -> None:
        if key == A:
            urgent.set()
            return
        hanging.append(key)
        await asyncio.Event().wait()

    for number in range(100):
        queue.add(("busy", str(number)))
    queue.add(A)
    async with working(queue, reconcile):
        await asyncio.sleep(0)
        queue.hasten(A)
        await urgent.wait()
        assert len(hanging) == 4


@pytest.mark.parametrize(("pause", "is_calm"), [(0.001, False), (5.0, True), (None, True)])
async def test_a_key_is_hastened_until_a_pass_finds_nothing_urgent(pause: float | None, *, is_calm: bool) -> None:
    queue, passes, over = WorkQueue(), list[bool](), asyncio.Event()

    async def reconcile(key: Key) -> float | None:
        passes.append(queue._processing[key])
        if len(passes) == 1:
            queue.add(key)  # as a change during the pass does
        else:
            over.set()
        return pause

    queue.hasten(A)
    async with working(queue, reconcile):
        await over.wait()
    assert passes[:2] == [True, not is_calm]


async def test_a_server_that_asks_to_be_left_alone_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, asked = WorkQueue(), asyncio.Queue[float]()

    def note(_: Key, *, at_least: float) -> float:
        asked.put_nowait(at_least)
        return at_least

    async def reconcile(key: Key) -> None:
        raise errors.Unavailable("429", 7.0) if key == A else errors.Unavailable("503")

    monkeypatch.setattr(queue, "add_rate_limited", note)
    queue.add(A)
    queue.add(B)
    async with working(queue, reconcile):
        assert [await asked.get(), await asked.get()] == [7.0, 0.0]
