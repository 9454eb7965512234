from __future__ import annotations

import asyncio
import logging

import pytest

from shared import errors
from shared.objects.resources import SESSION_STORAGES, Key, Object, Resource, key_of
from tests.support.virtual_time import in_virtual_time
from webhook.storage_lookup import StorageLookup

KEY = ("ns", "store")
STORAGE = {"metadata": {"namespace": "ns", "name": "store"}, "spec": {"size": "small"}}


class Cluster:
    """An API server that gives one answer, or none."""

    def __init__(self, answer: Object | Exception | None) -> None:
        self.asked: list[tuple[Resource, str, str]] = []
        self._answer = answer

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self.asked.append((resource, namespace, name))
        if self._answer is None:
            await asyncio.Event().wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer


class Cache:
    def __init__(self, *objects: Object) -> None:
        self.objects: dict[Key, Object] = {key_of(obj): obj for obj in objects}

    def remember(self, obj: Object) -> None:
        self.objects[key_of(obj)] = obj


@in_virtual_time
async def ask(cluster: Cluster, cache: Cache) -> None:
    await StorageLookup(cluster, cache).ensure_cached(KEY)


def known_after_asking(cluster: Cluster, cache: Cache) -> set[Key]:
    ask(cluster, cache)
    return set(cache.objects)


def test_a_storage_that_is_known_is_not_asked_for() -> None:
    cluster = Cluster(None)
    assert known_after_asking(cluster, Cache(STORAGE)) == {KEY}
    assert cluster.asked == []


def test_a_storage_that_no_watch_has_told_of_yet_is_read() -> None:
    cluster = Cluster(STORAGE)
    assert known_after_asking(cluster, Cache()) == {KEY}
    assert cluster.asked == [(SESSION_STORAGES, *KEY)]


def test_one_that_does_not_exist_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    assert known_after_asking(Cluster(errors.NotFound("gone")), Cache()) == set()
    assert caplog.records == []


@pytest.mark.parametrize("answer", [errors.Unavailable("away"), None], ids=["an error", "no answer"])
def test_an_api_server_that_does_not_tell_holds_nobody_up(
    answer: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert known_after_asking(Cluster(answer), Cache()) == set()
    assert [record.getMessage() for record in caplog.records] == [
        "could not read the storage: going on as if it did not exist"
    ]
