"""Secrets that external storages name: one watch for all, and each is read once for every version of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from reconciler.observe.referenced_secrets import ReferencedSecrets
from shared import errors
from shared.objects.resources import SECRETS, Key, Object, Resource
from tests.support.fakes import FakeApi

NAMED: Key = ("team", "theirs")


class Api(FakeApi):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.lists = self.watches = 0
        self.failure: errors.ClusterError | None = None

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self.reads.append(name)
        if self.failure is not None:
            raise self.failure
        return await super().get(resource, namespace, name)

    async def put(self, password: str, name: str = "theirs") -> None:
        obj: Object = {"metadata": {"namespace": "team", "name": name}, "data": {"password": password}}
        await self.apply(SECRETS, obj, field_manager="user")


def external(name: str, named: str | Object | None = "theirs") -> Object:
    spec = {"url": "redis://there:6379"} | ({"secretRef": named} if named else {})
    return {"metadata": {"namespace": "team", "name": name}, "spec": {"external": spec}}


@contextlib.asynccontextmanager
async def following(api: Api, *storages: Object) -> AsyncIterator[tuple[ReferencedSecrets, asyncio.Queue[Key]]]:
    asked: asyncio.Queue[Key] = asyncio.Queue()
    secrets = ReferencedSecrets(api, asked.put_nowait)
    for storage in storages:
        secrets.on_storage(None, storage)
    task = asyncio.ensure_future(secrets.run())
    try:
        async with asyncio.timeout(5):
            if storages:
                await secrets._versions.synced.wait()
            yield secrets, asked
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until_read(secrets: ReferencedSecrets, password: str) -> Object:
    """Read again and again, as the watch may be a moment late."""
    while True:
        found = await secrets.read(NAMED)
        if found is not None and found["data"]["password"] == password:
            return found
        await asyncio.sleep(0)


async def test_a_secret_is_read_once_for_all_storages_as_long_as_it_stays_as_it_is() -> None:
    api = Api()
    await api.put("one")
    async with following(api, external("a"), external("b")) as (secrets, _):
        for _ in range(10):
            assert (await secrets.read(NAMED) or {})["data"] == {"password": "one"}
        assert api.reads == ["theirs"]
        await api.put("two")
        await until_read(secrets, "two")
        reads = len(api.reads)
        await secrets.read(NAMED)
        assert len(api.reads) == reads


async def test_a_changed_secret_and_one_that_comes_or_goes_asks_for_a_look_at_each_storage_that_names_it() -> None:
    api = Api()
    async with following(api, external("a"), external("b"), external("c", "other"), external("d", None)) as (
        secrets,
        asked,
    ):
        assert await secrets.read(NAMED) is None
        assert api.reads == []
        await api.put("one")
        assert {await asked.get(), await asked.get()} == {("team", "a"), ("team", "b")}
        await api.put("one", "nobodys")
        await api.delete(SECRETS, *NAMED)
        assert {await asked.get(), await asked.get()} == {("team", "a"), ("team", "b")}
        assert await secrets.read(NAMED) is None
        assert asked.empty()


async def test_a_successor_of_the_same_name_is_read_anew() -> None:
    api = Api()
    await api.put("one")
    async with following(api, external("a")) as (secrets, _):
        await until_read(secrets, "one")
        await api.delete(SECRETS, *NAMED)
        await api.put("two")
        await until_read(secrets, "two")


async def test_a_storage_that_names_another_secret_now_no_longer_depends_on_the_former_one() -> None:
    api = Api()
    await api.put("one")
    async with following(api, external("a")) as (secrets, asked):
        assert await asked.get() == ("team", "a")
        await until_read(secrets, "one")
        secrets.on_storage(external("a"), external("a", "other"))
        await api.put("two")
        await api.put("two", "other")
        assert await asked.get() == ("team", "a")
        assert asked.empty()
        secrets.on_storage(external("a", "other"), None)
        assert (secrets._contents, secrets._storages_of, secrets._secret_of) == ({}, {}, {})


async def test_a_secret_that_is_named_with_its_keys_is_followed_too() -> None:
    api = Api()
    await api.put("one")
    named: Object = {"name": "theirs", "passwordKey": "redis-password"}
    async with following(api, external("a", named)) as (secrets, asked):
        assert await asked.get() == ("team", "a")
        await until_read(secrets, "one")
        await api.put("two")
        assert await asked.get() == ("team", "a")


async def test_without_a_storage_that_names_a_secret_nothing_is_watched() -> None:
    api = Api()
    await api.put("one")
    async with following(api) as (secrets, _):
        secrets.on_storage(None, external("a", None))
        await asyncio.sleep(0)
        assert not secrets._versions.synced.is_set()


async def test_before_the_first_list_each_look_reads_the_secret() -> None:
    api = Api()
    await api.put("one")
    secrets = ReferencedSecrets(api, lambda _: None)
    secrets.on_storage(None, external("a"))
    for _ in range(2):
        assert await secrets.read(NAMED) is not None
    assert api.reads == ["theirs"] * 2
    assert await secrets.read(("team", "absent")) is None


async def test_a_secret_that_cannot_be_read_is_no_absent_one() -> None:
    api = Api()
    await api.put("one")
    async with following(api, external("a")) as (secrets, _):
        api.failure = errors.Unavailable("503")
        with pytest.raises(errors.Unavailable):
            await secrets.read(NAMED)


async def test_of_secrets_that_nobody_names_nothing_but_the_version_is_kept() -> None:
    api = Api()
    await api.put("hunter2", "nobodys")
    async with following(api, external("a")) as (secrets, _):
        kept = secrets._versions.get(("team", "nobodys"))
        assert kept is not None
        assert kept.keys() == {"metadata"}
        assert kept["metadata"].keys() == {"namespace", "name", "uid", "resourceVersion"}
