from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared import errors
from shared.consumers.identity import Consumer, Usage
from shared.kubernetes.client import Cluster
from shared.kubernetes.informer import Informer
from shared.objects.resources import SESSION_STORAGES
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny
from webhook.deletion_handler import DeletionHandler
from webhook.storage_lookup import StorageLookup

if TYPE_CHECKING:
    from shared.objects.resources import Key, Object, Resource

KEY = ("team", "mine")
USAGE = Usage(Consumer("MCPServer", "team", "srv"), KEY)


def storage(uid: str, version: int) -> Object:
    metadata = {"namespace": "team", "name": "mine", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"size": "small"}}


class World(Cluster):
    """A cache that holds one storage, and an API server that stores another one of the same name, or none."""

    def __init__(self, cached: Object | None, stored: Object | None) -> None:
        self.stored = stored
        self.asked: list[Key] = []
        storages = Informer(self, SESSION_STORAGES)
        if cached is not None:
            storages.remember(cached)
        self.handler = DeletionHandler(StorageLookup(self, storages, 1.0), lambda _: (USAGE,), {})

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self.asked.append((namespace, name))
        if self.stored is None:
            raise errors.NotFound("gone")
        return self.stored

    async def decide(self, old: Any) -> Decision:
        return await self.handler.decide(AdmissionRequest("1", "DELETE", "team", "", None, old))


async def test_a_known_storage_costs_no_request() -> None:
    world = World(storage("a", 1), None)
    assert isinstance(await world.decide(storage("a", 1)), Deny)
    assert world.asked == []


async def test_a_storage_that_is_newer_than_the_cache_is_read_and_protected() -> None:
    for cached in (None, storage("a", 1)):
        world = World(cached, storage("b", 2))
        assert isinstance(await world.decide(storage("b", 2)), Deny)
        assert world.asked == [KEY]


@pytest.mark.parametrize("stored", [None, storage("a", 1)])
async def test_a_made_up_storage_gets_the_same_answer_whether_it_exists_or_not(stored: Object | None) -> None:
    assert await World(stored, stored).decide(storage("made up", 1)) == Allow()


async def test_what_deletes_no_storage_costs_no_request() -> None:
    world = World(None, None)
    assert await world.decide(None) == Allow()
    assert world.asked == []
