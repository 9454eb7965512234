"""An informer's cache stays correct, whatever lists and watches return."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client import REGISTRY

from shared import errors
from shared.kubernetes.client import EVERYTHING, Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.kubernetes.keeping import Keeping, PackedObjects
from shared.objects.resources import SECRETS, Key, Object, Resource
from tests.support.fakes import FakeApi
from tests.support.virtual_time import in_virtual_time

NAMESPACE = "team"
A: Key = (NAMESPACE, "a")


def secret(version: int, name: str = "a", uid: str = "u1", **fields: object) -> Object:
    metadata = {"namespace": NAMESPACE, "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, **fields}


def event(kind: str, obj: Object) -> Object:
    return {"type": kind, "object": obj}


def bookmark(version: int) -> Object:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class Scripted(Cluster):
    """Answers lists and watches from a script; after its end, watches stay silent."""

    def __init__(self, *script: Sequence[object] | errors.ClusterError) -> None:
        self.script = list(script)
        self.calls: list[str] = []
        self.at_end = asyncio.Event()

    async def list_pages(
        self, resource: Resource, selector: Selector = EVERYTHING
    ) -> AsyncIterator[tuple[list[Object], str]]:
        del resource, selector
        self.calls.append("list")
        answer = await self._next()
        if isinstance(answer, errors.ClusterError):
            raise answer
        assert isinstance(answer, tuple), answer
        version, items = answer
        yield items, str(version)

    async def watch(self, resource: Resource, selector: Selector, resource_version: str) -> AsyncIterator[Object]:
        del resource, selector
        self.calls.append(f"watch {resource_version}")
        answer = await self._next()
        if isinstance(answer, errors.ClusterError):
            raise answer
        assert isinstance(answer, list), answer
        for item in answer:
            if isinstance(item, errors.ClusterError):
                raise item
            assert isinstance(item, dict)
            yield item

    async def _next(self) -> object:
        if not self.script:
            self.at_end.set()
            await asyncio.Event().wait()
        return self.script.pop(0)


Change = tuple[Object | None, Object | None]


@contextlib.asynccontextmanager
async def following(cluster: Cluster, changes: list[Change] | None = None) -> AsyncIterator[Informer]:
    told = [] if changes is None else changes
    informer = Informer(cluster, SECRETS, lambda old, new: told.append((old, new)))
    task = asyncio.ensure_future(informer.run())
    try:
        async with asyncio.timeout(3600):
            yield informer
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def played(cluster: Scripted, changes: list[Change] | None = None) -> dict[Key, Object]:
    """Play the whole script, and return the resulting cache."""
    async with following(cluster, changes) as informer:
        await cluster.at_end.wait()
        return dict(informer.objects)


@in_virtual_time
async def test_a_list_fills_the_cache_and_a_watch_continues_from_it() -> None:
    changes: list[Change] = []
    first, second, newer = secret(5), secret(11, "b"), secret(12)
    cluster = Scripted((10, [first]), [event("ADDED", second), event("MODIFIED", newer)])
    assert await played(cluster, changes) == {A: newer, (NAMESPACE, "b"): second}
    assert cluster.calls == ["list", "watch 10", "watch 12"]
    assert changes == [(None, first), (None, second), (first, newer)]


@in_virtual_time
async def test_an_informer_is_synced_once_it_has_the_first_list_and_not_before() -> None:
    cluster = Scripted(errors.Unavailable("503"), errors.Unavailable("503"), (10, []))
    async with following(cluster) as informer:
        assert not informer.synced.is_set()
        await informer.synced.wait()
        assert cluster.calls[:3] == ["list"] * 3


@in_virtual_time
async def test_a_bookmark_moves_the_position_and_calls_no_handler() -> None:
    changes: list[Change] = []
    cluster = Scripted((10, []), [bookmark(99)])
    assert await played(cluster, changes) == {}
    assert cluster.calls == ["list", "watch 10", "watch 99"]
    assert changes == []


@in_virtual_time
async def test_a_deletion_removes_the_object() -> None:
    changes: list[Change] = []
    old = secret(5)
    assert await played(Scripted((10, [old]), [event("DELETED", secret(11))]), changes) == {}
    assert changes[-1] == (old, None)


@in_virtual_time
async def test_the_deletion_of_a_predecessor_leaves_its_successor() -> None:
    successor = secret(12, uid="u2")
    cluster = Scripted((10, [secret(5)]), [event("MODIFIED", successor), event("DELETED", secret(11, uid="u1"))])
    assert await played(cluster) == {A: successor}


@in_virtual_time
async def test_a_position_that_is_too_old_means_a_new_list() -> None:
    changes: list[Change] = []
    gone, kept, new = secret(5), secret(6, "kept"), secret(20, "new")
    cluster = Scripted((10, [gone, kept]), [errors.Expired("410")], (30, [kept, new]))
    assert (await played(cluster, changes)).keys() == {(NAMESPACE, "kept"), (NAMESPACE, "new")}
    assert cluster.calls == ["list", "watch 10", "list", "watch 30"]
    assert changes[2:] == [(None, new), (gone, None)]


@in_virtual_time
async def test_positions_that_expire_again_and_again_make_no_busy_loop() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await played(Scripted(*[(10, []), [errors.Expired("410")]] * 50))
    assert loop.time() - started > 60


@in_virtual_time
async def test_watches_that_end_at_once_make_no_busy_loop() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await played(Scripted((10, []), *[[]] * 50))
    assert loop.time() - started > 60


@in_virtual_time
async def test_a_watch_that_delivered_events_is_resumed_at_once() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await played(Scripted((10, []), *[[bookmark(11 + number)] for number in range(50)]))
    assert loop.time() - started < 20


@in_virtual_time
async def test_a_broken_watch_resumes_where_it_was() -> None:
    cluster = Scripted(
        (10, []), [event("ADDED", secret(11)), errors.Unavailable("reset")], [event("MODIFIED", secret(12))]
    )
    assert await played(cluster) == {A: secret(12)}
    assert cluster.calls == ["list", "watch 10", "watch 11", "watch 12"]


@pytest.mark.parametrize("error", [errors.NotFound("404"), errors.Forbidden("403"), errors.Rejected("400")], ids=repr)
@in_virtual_time
async def test_a_refused_watch_starts_over_with_a_list(error: errors.ClusterError) -> None:
    cluster = Scripted((10, [secret(5)]), [error], (20, []))
    assert await played(cluster) == {}
    assert cluster.calls == ["list", "watch 10", "list", "watch 20"]


@in_virtual_time
async def test_the_cache_keeps_its_objects_during_an_outage() -> None:
    cluster = Scripted((10, [secret(5)]), *[errors.Unavailable("down")] * 20)
    assert await played(cluster) == {A: secret(5)}
    assert cluster.calls[1:] == ["watch 10"] * 21


@in_virtual_time
async def test_pauses_grow_to_half_a_minute() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await played(Scripted(*[errors.Unavailable("down")] * 20))
    assert 12 * 30 * 0.8 < loop.time() - started < 13 * 30 * 1.2


@in_virtual_time
async def test_the_server_may_ask_for_a_longer_pause() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await played(Scripted(errors.Unavailable("429", 100.0), (10, [])))
    assert 80 <= loop.time() - started <= 120


@in_virtual_time
async def test_events_from_before_our_own_write_do_not_undo_it() -> None:
    written = secret(15)
    replayed = Scripted((10, [secret(5)]), [event("MODIFIED", secret(12)), event("MODIFIED", secret(15))])
    changes: list[Change] = []
    async with following(replayed, changes) as informer:
        informer.remember(written)
        await replayed.at_end.wait()
        assert informer.get(A) == written
    assert changes == [(None, written)]


@in_virtual_time
async def test_a_list_from_before_our_own_write_does_not_undo_it() -> None:
    cluster = Scripted((10, [secret(5)]))
    async with following(cluster) as informer:
        informer.remember(secret(15))
        await cluster.at_end.wait()
        assert informer.get(A) == secret(15)


@in_virtual_time
async def test_an_answer_that_arrives_after_the_deletion_does_not_restore_the_object() -> None:
    """The watch may report our write and the object's deletion before our coroutine gets the answer to the write."""
    cluster = Scripted((10, []), [event("ADDED", secret(11)), event("DELETED", secret(12))])
    async with following(cluster) as informer:
        await cluster.at_end.wait()
        informer.remember(secret(11))
        assert informer.get(A) is None


@in_virtual_time
async def test_an_answer_that_the_watch_has_not_reported_yet_is_kept() -> None:
    cluster = Scripted((10, []))
    async with following(cluster) as informer:
        await cluster.at_end.wait()
        informer.remember(secret(11))
        assert informer.get(A) == secret(11)


@in_virtual_time
async def test_objects_of_a_restored_backup_replace_the_cached_ones() -> None:
    """A restored etcd counts on from its backup: lower resource versions are the current ones then."""
    restored = secret(8)
    cluster = Scripted((100, [secret(95)]), [errors.Expired("410")], (9, [restored]), [event("MODIFIED", secret(12))])
    assert await played(cluster) == {A: secret(12)}


@in_virtual_time
async def test_versions_that_are_not_numbers_count_as_new() -> None:
    odd = secret(0)
    odd["metadata"]["resourceVersion"] = "abc"
    cluster = Scripted((10, [secret(5)]), [event("MODIFIED", odd)])
    assert await played(cluster) == {A: odd}


@in_virtual_time
async def test_it_follows_an_api_server() -> None:
    api = FakeApi()
    async with following(api) as informer:
        await informer.synced.wait()
        for number in range(3):
            await api.create(SECRETS, {"metadata": {"namespace": NAMESPACE, "name": str(number)}})
        await api.delete(SECRETS, NAMESPACE, "1")
        await asyncio.sleep(1)
        assert informer.objects.keys() == {(NAMESPACE, "0"), (NAMESPACE, "2")}


@in_virtual_time
async def test_an_object_that_one_handler_cannot_take_in_stops_neither_the_watch_nor_other_handlers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Users write objects of any shape; one of them must not end the processes that watch all others."""
    seen: list[str] = []

    def picky(_: Object | None, new: Object | None) -> None:
        if new is not None and new["metadata"]["name"] == "odd":
            raise KeyError("spec")

    cluster = Scripted((10, [secret(5, "odd"), secret(6)]), [event("MODIFIED", secret(11, "odd")), bookmark(12)])
    informer = Informer(cluster, SECRETS, picky)
    informer.add_handler(lambda _, new: seen.append((new or {})["metadata"]["name"]))
    before = REGISTRY.get_sample_value("session_storage_unhandled_objects_total", {"resource": "secrets"}) or 0
    task = asyncio.ensure_future(informer.run())
    await cluster.at_end.wait()
    assert not task.done()
    assert seen == ["odd", "a", "odd"]
    assert cluster.calls == ["list", "watch 10", "watch 12"]
    after = REGISTRY.get_sample_value("session_storage_unhandled_objects_total", {"resource": "secrets"})
    assert after == before + 2
    assert [record.__dict__["object"] for record in caplog.records if record.exc_info] == ["team/odd"] * 2
    task.cancel()
    await asyncio.wait({task})


@in_virtual_time
async def test_a_handler_that_comes_later_is_told_of_all_objects_but_those_that_it_cannot_take_in() -> None:
    seen: list[str] = []

    def picky(_: Object | None, new: Object | None) -> None:
        name = (new or {})["metadata"]["name"]
        assert name != "a"
        seen.append(name)

    async with following(Scripted((10, [secret(5), secret(6, "b")]))) as informer:
        await informer.synced.wait()
        informer.add_handler(picky)
    assert seen == ["b"]


@in_virtual_time
async def test_an_object_that_cannot_be_read_counts_as_absent_until_it_can() -> None:
    def picky(obj: Object) -> Object:
        return {"metadata": obj["metadata"], "size": obj["size"]}

    cluster = Scripted(
        (10, [secret(5, size=1), secret(6, "b", size=1)]),
        [event("MODIFIED", secret(11)), bookmark(12)],
        [event("MODIFIED", secret(13, size=2))],
    )
    changes: list[Change] = []
    informer = Informer(cluster, SECRETS, lambda old, new: changes.append((old, new)), keep=Keeping(picky))
    task = asyncio.ensure_future(informer.run())
    await cluster.at_end.wait()
    task.cancel()
    await asyncio.wait({task})
    assert informer.objects.keys() == {A, (NAMESPACE, "b")}
    sizes = [(old and old["size"], new and new["size"]) for old, new in changes]
    assert sizes == [(None, 1), (None, 1), (1, None), (None, 2)]


@in_virtual_time
async def test_a_long_list_is_taken_in_page_by_page() -> None:
    """All of it at once would take as much memory again as the whole cache."""
    seen: list[set[Key]] = []

    class Paged(FakeApi):
        async def list_pages(
            self, resource: Resource, selector: Selector = EVERYTHING
        ) -> AsyncIterator[tuple[list[Object], str]]:
            del resource, selector
            for name in "abc":
                yield [secret(5, name)], "9"
                seen.append(set(informer.objects))

    informer = Informer(Paged(), SECRETS)
    await informer._list()
    assert seen == [{(NAMESPACE, each) for each in names} for names in ("a", "ab", "abc")]


@in_virtual_time
async def test_a_list_that_breaks_off_removes_nothing() -> None:
    class BreakingOff(FakeApi):
        async def list_pages(
            self, resource: Resource, selector: Selector = EVERYTHING
        ) -> AsyncIterator[tuple[list[Object], str]]:
            del resource, selector
            yield [secret(5)], "9"
            raise errors.NoAnswer("no answer")

    informer = Informer(BreakingOff(), SECRETS)
    informer.remember(secret(4, "b"))
    with pytest.raises(errors.NoAnswer):
        await informer._list()
    assert set(informer.objects) == {(NAMESPACE, "a"), (NAMESPACE, "b")}
    assert not informer.synced.is_set()


async def test_a_packed_cache_tells_handlers_of_the_same_changes() -> None:
    changes: list[Change] = []
    keep = Keeping(lambda obj: {"metadata": obj["metadata"]}, PackedObjects)
    informer = Informer(FakeApi(), SECRETS, lambda old, new: changes.append((old, new)), keep=keep)
    first, second = secret(1), secret(2)
    for version in (1, 2, 1):
        informer.remember(secret(version, data={"a": "b"}))
    informer._drop(A)
    assert changes == [(None, first), (first, second), (second, None)]
