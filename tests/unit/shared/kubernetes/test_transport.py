"""No request waits for those that matter less: real HTTP, against an API server that is slow or pushes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from shared import errors
from shared.kubernetes import transport
from shared.kubernetes.client import Cluster
from shared.kubernetes.informer import Informer
from shared.kubernetes.turns import urgently
from shared.objects.resources import CONFIG_MAPS, PODS, SECRETS, Object
from tests.support.httpapi import HttpApi

SECRET: Object = {"metadata": {"namespace": "team", "name": "a"}, "data": {"password": "c2VjcmV0"}}


class Api(HttpApi):
    """An API server that answers no question about ConfigMaps."""

    def __init__(self) -> None:
        super().__init__()
        self.is_over = asyncio.Event()
        self.meddle = self._hang

    async def _hang(self, what: str) -> web.Response | None:
        if what == "GET configmaps":
            await self.is_over.wait()
        return None

    async def hold(self, cluster: Cluster, count: int) -> list[asyncio.Task[Object]]:
        """Have this many requests hang, and as many more wait."""
        asking = [asyncio.ensure_future(cluster.get(CONFIG_MAPS, "team", "x")) for _ in range(count)]
        await self.until(lambda: self.calls["GET configmaps"] >= min(count, transport.PLACES))
        return asking

    async def release(self, asking: list[asyncio.Task[Object]]) -> None:
        self.is_over.set()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_no_more_requests_are_in_flight_than_there_are_places() -> None:
    api = Api()
    async with api.serving() as connect:
        asking = await api.hold(connect(), 3 * transport.PLACES)
        assert api.calls["GET configmaps"] == transport.PLACES
        await api.release(asking)
        assert api.calls["GET configmaps"] == 3 * transport.PLACES


async def test_an_urgent_request_does_not_wait_for_a_thousand_others() -> None:
    api = Api()
    await api.objects.create(SECRETS, SECRET)
    async with api.serving() as connect:
        cluster = connect()
        asking = await api.hold(cluster, 1000)
        ordinary = asyncio.ensure_future(cluster.get(SECRETS, "other", "a"))
        async with asyncio.timeout(5):
            with urgently():
                assert (await cluster.get(SECRETS, "team", "a"))["metadata"]["name"] == "a"
        assert not ordinary.done()
        await api.release([*asking, ordinary])


async def test_watches_take_no_place_of_a_request() -> None:
    api = Api()
    await api.objects.create(SECRETS, SECRET)
    async with api.serving() as connect:
        cluster = connect()
        watches = [asyncio.ensure_future(Informer(cluster, PODS).run()) for _ in range(150)]
        await api.until(lambda: api.watches["pods"] == len(watches))
        async with asyncio.timeout(5):
            await cluster.get(SECRETS, "team", "a")
        for watch in watches:
            watch.cancel()
        await asyncio.wait(watches)


async def test_a_connection_of_its_own_waits_for_nothing_on_another_one() -> None:
    api = Api()
    await api.objects.create(SECRETS, SECRET)
    async with api.serving() as connect:
        asking = await api.hold(connect(), 1000)
        async with asyncio.timeout(5):
            await connect().get(SECRETS, "team", "a")
        await api.release(asking)


def pushing_back(times: int, seconds: str) -> Callable[[str], Awaitable[web.Response | None]]:
    """Put off the first requests."""
    left = [times]

    async def meddle(_: str) -> web.Response | None:
        left[0] -= 1
        return web.json_response({}, status=429, headers={"Retry-After": seconds}) if left[0] >= 0 else None

    return meddle


async def test_an_urgent_request_is_sent_again_after_the_pause_that_the_server_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    api = HttpApi()
    await api.objects.create(SECRETS, SECRET)
    api.meddle = pushing_back(2, "3")
    async with api.serving() as connect:
        cluster = connect()
        monkeypatch.setattr("shared.kubernetes.transport.asyncio.sleep", pause)
        with urgently():
            await cluster.get(SECRETS, "team", "a")
        monkeypatch.undo()
    assert api.calls["GET secrets"] == 3
    assert all(3 <= seconds <= 4 for seconds in pauses)
    assert len(pauses) == 2


@pytest.mark.parametrize(("is_urgent", "attempts"), [(True, transport.URGENT_ATTEMPTS), (False, 1)])
async def test_a_request_that_is_always_put_off_fails_with_the_servers_words(*, is_urgent: bool, attempts: int) -> None:
    api = HttpApi()
    api.meddle = pushing_back(100, "0")
    async with api.serving() as connect:
        with urgently(when=is_urgent), pytest.raises(errors.Unavailable) as caught:
            await connect().get(SECRETS, "team", "a")
    assert caught.value.retry_after_seconds == 0
    assert api.calls["GET secrets"] == attempts


async def test_nobody_waits_longer_than_a_failover_may_take() -> None:
    api = HttpApi()
    api.meddle = pushing_back(100, "3600")
    async with api.serving() as connect:
        with urgently(), pytest.raises(errors.Unavailable):
            await connect().get(SECRETS, "team", "a")
    assert api.calls["GET secrets"] == 1


async def test_an_urgent_request_gives_up_a_server_that_hangs_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "URGENT_TIMEOUT_SECONDS", 0.05)
    api = Api()
    async with api.serving() as connect:
        with urgently(), pytest.raises(errors.Unavailable, match=r"no answer in 0\.05 s"):
            await connect().get(CONFIG_MAPS, "team", "x")
        api.is_over.set()
