"""There is one leader at a time; the Lease is in memory, and the clock jumps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from reconciler.runtime.leader_election import Candidate, LeaderElector
from shared import errors
from shared.objects.resources import LEASES, Object, Resource
from tests.support.fakes import FakeApi
from tests.support.virtual_time import in_virtual_time

NAMESPACE, LEASE = "session-storage-system", "ours-reconciler"
METADATA: Object = {"namespace": NAMESPACE, "name": LEASE}


class LeaseApi(FakeApi):
    """Stores Leases; a test can cut replicas off."""

    def __init__(self, objects: dict[tuple[str, str, str], Object] | None = None) -> None:
        super().__init__()
        self.objects = {} if objects is None else objects
        self.is_down = False
        self.seconds_to_answer = 0.0
        self.answers = asyncio.Event()
        self.answers.set()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        await self.answers.wait()
        if self.is_down:
            raise errors.Unavailable("connection refused")
        return await super().get(resource, namespace, name)

    async def replace(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        written = await super().replace(resource, obj, subresource=subresource)
        await asyncio.sleep(self.seconds_to_answer)
        return written

    async def hold(self, **spec: object) -> None:
        await self.apply(LEASES, {"metadata": METADATA, "spec": spec}, field_manager="another")

    @property
    def spec(self) -> Object:
        spec: Object = self.objects[LEASES.plural, NAMESPACE, LEASE]["spec"]
        return spec


class Replica:
    """One replica that stands for election, and records when its work ran."""

    def __init__(self, api: LeaseApi, name: str) -> None:
        self.started, self.stopped, self.end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.started_at = self.stopped_at = 0.0
        self.task = asyncio.ensure_future(LeaderElector(api, Candidate(NAMESPACE, LEASE, name)).run(self._work))

    @property
    def is_working(self) -> bool:
        return self.started.is_set() and not self.stopped.is_set()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        self.started_at = loop.time()
        self.started.set()
        try:
            await self.end.wait()
        finally:
            self.stopped_at = loop.time()
            self.stopped.set()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@contextlib.asynccontextmanager
async def replicas(*started: Replica) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(600):
            yield
    finally:
        for replica in started:
            await replica.stop()


@in_virtual_time
async def test_the_first_replica_leads_and_the_others_wait() -> None:
    api = LeaseApi()
    first, second = Replica(api, "first"), Replica(api, "second")
    async with replicas(first, second):
        await asyncio.sleep(300)
        assert (first.is_working, second.started.is_set()) == (True, False)
        assert (api.spec["holderIdentity"], api.spec["leaseTransitions"]) == ("first", 1)
        assert api.spec["renewTime"] > api.spec["acquireTime"]


@in_virtual_time
async def test_a_clean_exit_hands_over_without_waiting_for_the_lease_to_expire() -> None:
    api = LeaseApi()
    first, second = Replica(api, "first"), Replica(api, "second")
    async with replicas(first, second):
        await first.started.wait()
        await first.stop()
        assert api.spec["holderIdentity"] == ""
        await second.started.wait()
        assert 0 < second.started_at - first.stopped_at <= 2
        assert (api.spec["holderIdentity"], api.spec["leaseTransitions"]) == ("second", 2)


@in_virtual_time
async def test_a_leader_that_vanished_is_succeeded_when_its_lease_expires() -> None:
    api = LeaseApi()
    await api.hold(holderIdentity="vanished", leaseDurationSeconds=15, renewTime="2026-11-23T10:00:00Z")
    second = Replica(api, "second")
    async with replicas(second):
        await second.started.wait()
        assert 15 < second.started_at <= 17
        assert api.spec["holderIdentity"] == "second"


@pytest.mark.parametrize("year", ["1970", "2026", "9999"])
@in_virtual_time
async def test_a_lease_counts_by_its_renewals_and_not_by_the_time_in_it(year: str) -> None:
    api = LeaseApi()
    second = Replica(api, "second")
    await api.hold(holderIdentity="alive", leaseDurationSeconds=15, renewTime="")
    async with replicas(second):
        for number in range(10):
            await api.hold(holderIdentity="alive", leaseDurationSeconds=15, renewTime=f"{year}-01-01T00:00:{number}0Z")
            await asyncio.sleep(10)
            assert not second.started.is_set()
        await second.started.wait()


@in_virtual_time
async def test_a_leader_that_cannot_renew_stops_before_another_starts() -> None:
    api = LeaseApi()
    first, second = Replica(api, "first"), Replica(LeaseApi(api.objects), "second")
    async with replicas(first, second):
        await first.started.wait()
        await asyncio.sleep(60)
        api.is_down = True
        await second.started.wait()
        assert first.stopped.is_set()
        assert second.started_at - first.stopped_at >= 2
        assert first.task.done()
        assert first.task.result() is None


@in_virtual_time
async def test_an_api_server_that_never_answers_counts_as_one_that_is_gone() -> None:
    api = LeaseApi()
    first = Replica(api, "first")
    async with replicas(first):
        await first.started.wait()
        api.answers.clear()
        await first.stopped.wait()
        assert first.stopped_at - first.started_at <= 10
        api.answers.set()
        await first.task


@in_virtual_time
async def test_a_short_outage_costs_nobody_the_lease() -> None:
    api = LeaseApi()
    first = Replica(api, "first")
    async with replicas(first):
        await first.started.wait()
        for _ in range(5):
            api.is_down = True
            await asyncio.sleep(6)
            api.is_down = False
            await asyncio.sleep(4)
        assert first.is_working


@in_virtual_time
async def test_candidates_wait_out_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    api = LeaseApi()
    api.is_down = True
    first = Replica(api, "first")
    async with replicas(first):
        await asyncio.sleep(60)
        assert not first.started.is_set()
        assert caplog.messages.count("could not read the Lease") in {30, 31}
        api.is_down = False
        await first.started.wait()


@in_virtual_time
async def test_of_many_that_take_a_free_lease_at_once_one_wins() -> None:
    api = LeaseApi()
    await api.hold(holderIdentity="")
    all_of_them = [Replica(api, str(number)) for number in range(5)]
    async with replicas(*all_of_them):
        await asyncio.sleep(60)
        assert [replica.is_working for replica in all_of_them].count(True) == 1


@in_virtual_time
async def test_a_restarted_container_takes_its_own_lease_at_once() -> None:
    api = LeaseApi()
    await api.hold(holderIdentity="first", leaseDurationSeconds=15, renewTime="x", acquireTime="then")
    first = Replica(api, "first")
    async with replicas(first):
        await first.started.wait()
        assert (first.started_at, api.spec["acquireTime"]) == (0, "then")


@in_virtual_time
async def test_work_that_ends_gives_the_lease_back() -> None:
    api = LeaseApi()
    first = Replica(api, "first")
    async with replicas(first):
        await first.started.wait()
        first.end.set()
        await first.task
        assert api.spec["holderIdentity"] == ""


@in_virtual_time
async def test_work_that_fails_gives_the_lease_back_and_raises() -> None:
    async def work() -> None:
        raise RuntimeError("a bug")

    api = LeaseApi()
    with pytest.raises(RuntimeError, match="a bug"):
        await LeaderElector(api, Candidate(NAMESPACE, LEASE, "first")).run(work)
    assert api.spec["holderIdentity"] == ""


@in_virtual_time
async def test_a_leader_that_finds_another_name_in_its_lease_stops_and_leaves_the_lease_alone() -> None:
    api = LeaseApi()
    first = Replica(api, "first")
    async with replicas(first):
        await first.started.wait()
        await api.hold(holderIdentity="usurper")
        await first.stopped.wait()
        assert first.stopped_at - first.started_at <= 10
        await first.task
        assert api.spec["holderIdentity"] == "usurper"


@in_virtual_time
async def test_a_lease_runs_from_its_request_and_not_from_the_answer() -> None:
    api = LeaseApi()
    await api.hold(holderIdentity="")
    api.seconds_to_answer = 9
    first, second = Replica(api, "first"), Replica(LeaseApi(api.objects), "second")
    async with replicas(first, second):
        await first.started.wait()
        api.is_down = True
        await second.started.wait()
        assert first.stopped_at <= 12
        assert second.started_at >= 15
