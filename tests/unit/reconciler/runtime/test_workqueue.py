"""The queue gives a key to one worker at a time, holds it only once, and waits longer after each failure."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.runtime import workqueue as queue_module
from reconciler.runtime.workqueue import WorkQueue

A, B = ("team", "a"), ("team", "b")


def is_empty(queue: WorkQueue) -> bool:
    return len(queue) == 0 and queue._ready.empty()


@pytest.fixture(name="queue")
def queue_fixture() -> WorkQueue:
    return WorkQueue()


async def test_keys_come_out_in_the_order_they_went_in(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(B)
    assert [await queue.get(), await queue.get()] == [A, B]


async def test_a_key_is_queued_only_once(queue: WorkQueue) -> None:
    for _ in range(3):
        queue.add(A)
    assert len(queue) == 1
    await queue.get()
    assert is_empty(queue)


async def test_a_key_is_never_with_two_workers(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    queue.add(A)
    assert is_empty(queue)
    queue.done(A)
    assert await queue.get() == A
    queue.done(A)
    assert is_empty(queue)


async def test_many_changes_during_a_pass_make_one_more_pass(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    for _ in range(5):
        queue.add(A)
    queue.done(A)
    await queue.get()
    queue.done(A)
    assert is_empty(queue)


async def test_a_key_comes_back_after_its_pause(queue: WorkQueue) -> None:
    queue.add_after(A, 0.01)
    assert is_empty(queue)
    async with asyncio.timeout(5):
        assert await queue.get() == A


async def test_a_pause_of_zero_means_now(queue: WorkQueue) -> None:
    queue.add_after(A, 0)
    assert len(queue) == 1


async def test_a_change_ends_a_pause(queue: WorkQueue) -> None:
    queue.add_after(A, 60)
    queue.add(A)
    assert queue._timers == {}
    await queue.get()
    queue.done(A)
    assert is_empty(queue)


async def test_a_later_pause_replaces_an_earlier_one(queue: WorkQueue) -> None:
    queue.add_after(A, 60)
    queue.add_after(A, 0.01)
    async with asyncio.timeout(5):
        await queue.get()
    queue.done(A)
    assert queue._timers == {}


async def test_a_pause_that_ends_during_a_pass_makes_one_more_pass(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    queue._expire(A)
    assert is_empty(queue)
    queue.done(A)
    assert len(queue) == 1


async def test_each_failure_doubles_the_pause_up_to_five_minutes(queue: WorkQueue) -> None:
    pauses = [queue.add_rate_limited(A) for _ in range(40)]
    queue._cancel_timer(A)
    for number, pause in enumerate(pauses):
        expected = min(0.1 * 2**number, 300)
        assert 0.8 * expected <= pause <= 1.2 * expected


async def test_a_hastened_key_is_tried_again_within_seconds_however_often_it_failed(queue: WorkQueue) -> None:
    queue.hasten(A)
    assert await queue.get_hastened() == A
    pauses = [queue.add_rate_limited(A) for _ in range(40)]
    queue._cancel_timer(A)
    assert 4 <= pauses[-1] == pytest.approx(5, rel=0.2)
    assert pauses[0] < 1


async def test_a_server_that_asks_for_a_pause_gets_it(queue: WorkQueue) -> None:
    pauses = [queue.add_rate_limited(A, at_least=7.0) for _ in range(10)]
    queue._cancel_timer(A)
    assert all(pause >= 7 for pause in pauses)
    assert pauses[0] <= 7 * 1.2
    assert pauses[-1] > 7 * 1.2


async def test_a_hastened_key_has_a_line_of_its_own_until_nothing_is_urgent(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(B)
    queue.hasten(B)
    queue.hasten(B)
    assert len(queue) == 2
    assert await queue.get_hastened() == B
    queue.add(B)
    assert await queue.get() == A
    queue.done(B)
    assert await queue.get_hastened() == B
    queue.calm(B)
    queue.done(B)
    queue.add(B)
    assert await queue.get() == B
    assert len(queue) == 0


async def test_a_key_that_is_hastened_during_a_calm_pass_stays_hastened(queue: WorkQueue) -> None:
    queue.add(A)
    assert await queue.get() == A
    queue.hasten(A)
    queue.calm(A)
    queue.done(A)
    assert await queue.get_hastened() == A


async def test_a_key_that_was_hastened_while_it_waited_is_given_out_once(queue: WorkQueue) -> None:
    queue.add(A)
    queue.hasten(A)
    queue.add(B)
    assert await queue.get_hastened() == A
    assert await queue.get() == B


async def test_a_pause_of_a_hastened_key_ends_in_its_own_line(queue: WorkQueue) -> None:
    queue.hasten(A)
    assert await queue.get_hastened() == A
    queue.done(A)
    queue.add_after(A, 0.001)
    assert await queue.get_hastened() == A


async def test_a_success_resets_the_pause(queue: WorkQueue) -> None:
    for _ in range(10):
        queue.add_rate_limited(A)
    queue.forget(A)
    assert queue.add_rate_limited(A) <= 0.12
    assert queue.add_rate_limited(B) <= 0.12
    queue._cancel_timer(A)
    queue._cancel_timer(B)


async def test_keys_that_fail_together_do_not_come_back_together(
    queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "FIRST_BACKOFF_SECONDS", 10.0)
    pauses = {queue.add_rate_limited(("team", str(number))) for number in range(20)}
    assert len(pauses) == 20
    for timer in queue._timers.values():
        timer.cancel()
