"""A resource of some namespaces is cached as if they were the whole cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from shared import errors
from shared.kubernetes.client import EVERYTHING, Selector
from shared.kubernetes.informer import Informer
from shared.kubernetes.keeping import Keeping, PackedObjects
from shared.kubernetes.namespaces import WHOLE_CLUSTER, WatchedNamespaces
from shared.objects.resources import NAMESPACES, SECRETS, Key, Object, Resource
from tests.support.fakes import FakeApi
from tests.support.virtual_time import in_virtual_time

WATCHED = WatchedNamespaces(("team", "shop"))
Change = tuple[Object | None, Object | None]


class Restricted(FakeApi):
    """An API server that lets nobody list more than one of these namespaces.

    Attributes:
        may_list: Held back until it is set, by namespace.
    """

    def __init__(self) -> None:
        super().__init__()
        self.may_list = {name: asyncio.Event() for name in WATCHED.names}
        for event in self.may_list.values():
            event.set()

    async def list_pages(
        self, resource: Resource, selector: Selector = EVERYTHING
    ) -> AsyncIterator[tuple[list[Object], str]]:
        name = selector.namespace or selector.fields.removeprefix("metadata.name=")
        if name not in self.may_list:
            raise errors.Forbidden(f"no list of {resource.plural}")
        await self.may_list[name].wait()
        async for page in super().list_pages(resource, selector):
            yield page


def secret(namespace: str, name: str = "a", **content: object) -> Object:
    return {"metadata": {"namespace": namespace, "name": name}, **content}


@contextlib.asynccontextmanager
async def running(informer: Informer) -> AsyncIterator[Informer]:
    task = asyncio.ensure_future(informer.run())
    try:
        async with asyncio.timeout(3600):
            await informer.synced.wait()
            yield informer
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(informer: Informer, keys: set[Key]) -> None:
    async with asyncio.timeout(3600):
        while set(informer.objects) != keys:  # noqa: ASYNC110 - the informer tells nobody
            await asyncio.sleep(0.01)


@in_virtual_time
async def test_one_cache_holds_the_objects_of_all_watched_namespaces_and_no_others() -> None:
    api, changes = Restricted(), list[Change]()
    for namespace in ("team", "shop", "elsewhere"):
        await api.create(SECRETS, secret(namespace))
    informer = WATCHED.informer(api, SECRETS, lambda old, new: changes.append((old, new)))
    async with running(informer):
        assert set(informer.objects) == {("team", "a"), ("shop", "a")}
        await api.create(SECRETS, secret("shop", "b"))
        await api.create(SECRETS, secret("elsewhere", "b"))
        await until(informer, {("team", "a"), ("shop", "a"), ("shop", "b")})
        await api.delete(SECRETS, "team", "a")
        await until(informer, {("shop", "a"), ("shop", "b")})
        told = [(old is not None, new is not None) for old, new in changes]
        assert told == [(False, True), (False, True), (False, True), (True, False)]


@in_virtual_time
async def test_a_cache_is_synced_only_once_every_namespace_has_been_listed() -> None:
    api = Restricted()
    api.may_list["shop"].clear()
    informer = WATCHED.informer(api, SECRETS)
    task = asyncio.ensure_future(informer.run())
    await asyncio.sleep(60)
    assert not informer.synced.is_set()
    api.may_list["shop"].set()
    async with asyncio.timeout(60):
        await informer.synced.wait()
    task.cancel()
    await asyncio.wait({task})


@in_virtual_time
async def test_the_answer_to_a_write_is_remembered_unless_no_watch_would_follow_it() -> None:
    api = Restricted()
    async with running(WATCHED.informer(api, SECRETS)) as informer:
        stored = await api.create(SECRETS, secret("team", "new"))
        informer.remember(stored)
        assert informer.get(("team", "new")) == stored
        informer.remember(await api.create(SECRETS, secret("elsewhere", "new")))
        assert set(informer.objects) == {("team", "new")}


@in_virtual_time
async def test_the_namespaces_themselves_are_watched_by_name() -> None:
    api = Restricted()
    for name in ("team", "elsewhere"):
        await api.create(NAMESPACES, {"metadata": {"name": name}})
    async with running(WATCHED.informer(api, NAMESPACES)) as informer:
        assert set(informer.objects) == {("", "team")}


@in_virtual_time
async def test_a_list_of_all_holds_those_of_every_namespace() -> None:
    api = Restricted()
    for namespace in ("team", "shop", "elsewhere"):
        await api.create(SECRETS, secret(namespace))
    found = await WATCHED.list_all(api, SECRETS)
    assert [each["metadata"]["namespace"] for each in found] == ["team", "shop"]


@in_virtual_time
async def test_without_names_the_whole_cluster_is_watched_at_once() -> None:
    api = FakeApi()
    for namespace in ("team", "elsewhere"):
        await api.create(SECRETS, secret(namespace))
    assert len(await WHOLE_CLUSTER.list_all(api, SECRETS)) == 2
    async with running(WHOLE_CLUSTER.informer(api, SECRETS)) as informer:
        assert type(informer) is Informer
        assert set(informer.objects) == {("team", "a"), ("elsewhere", "a")}


async def test_an_object_is_held_once_however_many_watches_there_are() -> None:
    made: list[PackedObjects] = []

    def cache() -> PackedObjects:
        made.append(PackedObjects())
        return made[-1]

    informer = WATCHED.informer(Restricted(), SECRETS, keep=Keeping(cache=cache))
    for namespace in ("team", "shop", "elsewhere"):
        informer.remember({"metadata": {"namespace": namespace, "name": "a", "resourceVersion": "1"}})
    assert sum(map(len, made)) == len(informer.objects) == 2
    assert informer.get(("elsewhere", "a")) is None
    assert ("elsewhere", "a") not in informer.objects
