"""Reviews that wait for the API server hold a bounded amount of memory together."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import Overloaded
from webhook import undecided
from webhook.admission.review import MAX_VALUES, Allow, Decision
from webhook.http import metrics
from webhook.http.heads import MAX_BODY_BYTES
from webhook.undecided import MAX_UNDECIDED_BYTES, Undecided, memory_of

BOUND = 100


class Waiting:
    """A review whose decision waits for the API server."""

    def __init__(self, all_of_them: Undecided, memory: int) -> None:
        self.may_end = asyncio.Event()
        self.task = asyncio.create_task(all_of_them.result_of(self._decide, memory))

    async def _decide(self) -> Decision:
        await self.may_end.wait()
        return Allow()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Undecided:
    monkeypatch.setattr(undecided, "MAX_UNDECIDED_BYTES", BOUND)
    return Undecided()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_review_that_waits_the_longest_gives_way(held: Undecided) -> None:
    before = metrics.CLIENTS_CUT_OFF.labels("decisions")._value.get()
    first, second, third = (Waiting(held, BOUND // 2) for _ in range(3))
    await settle()
    assert first.task.done()
    with pytest.raises(Overloaded):
        await first.task
    assert held.held_bytes == BOUND
    for waiting in (second, third):
        waiting.may_end.set()
        assert await waiting.task == Allow()
    assert held.held_bytes == 0
    assert metrics.CLIENTS_CUT_OFF.labels("decisions")._value.get() == before + 1


async def test_no_review_is_parsed_before_there_is_memory_for_it(held: Undecided) -> None:
    begun, most = 0, 0
    may_end = asyncio.Event()

    async def decide() -> Decision:
        nonlocal begun, most
        begun += 1
        most = max(most, begun)
        try:
            await may_end.wait()
        finally:
            begun -= 1
        return Allow()

    tasks = [asyncio.create_task(held.result_of(decide, BOUND // 2)) for _ in range(20)]
    await settle()
    for _ in range(200):
        await asyncio.sleep(0)
    may_end.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 2
    assert outcomes.count(Allow()) == 2
    assert all(outcome == Allow() or isinstance(outcome, Overloaded) for outcome in outcomes)


async def test_a_decision_that_needs_nothing_is_made_while_others_hold_all_memory(held: Undecided) -> None:
    async def decide() -> Decision:
        return Allow()

    waiting = Waiting(held, BOUND)
    await settle()
    assert await held.result_of(decide, BOUND) == Allow()
    with pytest.raises(Overloaded):
        await waiting.task
    assert held.held_bytes == 0


async def test_a_client_that_disconnects_holds_no_memory(held: Undecided) -> None:
    waiting = Waiting(held, BOUND)
    await settle()
    waiting.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting.task
    assert held.held_bytes == 0


async def test_a_single_review_is_decided_however_large_it_is(held: Undecided) -> None:
    waiting = Waiting(held, 10 * BOUND)
    await settle()
    waiting.may_end.set()
    assert await waiting.task == Allow()


async def test_a_timeout_of_the_decision_itself_stays_one(held: Undecided) -> None:
    async def decide() -> Decision:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await held.result_of(decide, 1)
    assert held.held_bytes == 0


def test_one_of_the_largest_reviews_fits_and_a_hundred_of_the_usual_ones_beside_it() -> None:
    usual = memory_of(10_000, 1_000)
    assert memory_of(MAX_BODY_BYTES, MAX_VALUES) + 100 * usual <= MAX_UNDECIDED_BYTES
