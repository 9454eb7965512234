"""Places for requests: bounded, shared out between namespaces, and never lost."""

from __future__ import annotations

import asyncio

from shared.kubernetes.turns import Turns, is_urgent, urgently


class Requests:
    """Requests that hold their place until told to give it back."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.running: list[str] = []
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, *names: str) -> None:
        """Begin requests named `namespace/number`, in this order."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.ensure_future(self._request(name))
        await self._settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._settled()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await self._settled()

    async def end_all(self) -> None:
        for end in self._ends.values():
            end.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def _request(self, name: str) -> None:
        async with self._turns.take(name.split("/", maxsplit=1)[0]):
            self.running.append(name)
            self.begun.append(name)
            try:
                await self._ends[name].wait()
            finally:
                self.running.remove(name)

    async def _settled(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_no_more_requests_run_than_there_are_places() -> None:
    requests = Requests(Turns(2))
    await requests.begin("a/1", "a/2", "a/3")
    assert requests.running == ["a/1", "a/2"]
    await requests.end("a/1")
    assert requests.running == ["a/2", "a/3"]
    await requests.end_all()


async def test_a_namespace_with_many_requests_delays_its_own_and_not_those_of_others() -> None:
    requests = Requests(Turns(1))
    await requests.begin("big/0", *(f"big/{number}" for number in range(1, 100)), "one/1", "two/1", "one/2")
    await requests.end("big/0")
    for _ in range(5):
        await requests.end(requests.running[0])
    assert requests.begun == ["big/0", "big/1", "one/1", "two/1", "big/2", "one/2", "big/3"]
    await requests.end_all()
    assert len(requests.begun) == 103


async def test_who_gives_up_waiting_or_running_takes_no_place_with_it() -> None:
    requests = Requests(Turns(1))
    await requests.begin("a/1", "a/2", "b/1", "a/3")
    await requests.cancel("a/2")
    await requests.cancel("a/1")
    assert requests.running == ["b/1"]
    await requests.cancel("b/1")
    assert requests.running == ["a/3"]
    await requests.end("a/3")
    await requests.begin("c/1", "c/2")
    assert requests.running == ["c/1"]
    await requests.end_all()


async def test_a_place_that_comes_in_the_instant_of_giving_up_goes_to_the_next() -> None:
    requests = Requests(Turns(1))
    await requests.begin("a/1", "a/2", "a/3")
    requests.tasks["a/1"].cancel()
    await asyncio.sleep(0)
    requests.tasks["a/2"].cancel()
    await requests.begin()
    assert requests.running == ["a/3"]
    await requests.end_all()


async def test_tasks_that_an_urgent_block_starts_are_urgent_and_nothing_else_is() -> None:
    async def ask() -> bool:
        await asyncio.sleep(0)
        return is_urgent()

    before = asyncio.ensure_future(ask())
    with urgently():
        inside = asyncio.ensure_future(ask())
        with urgently(when=False):
            assert not is_urgent()
        assert is_urgent()
    assert [await before, await inside, await ask()] == [False, True, False]
