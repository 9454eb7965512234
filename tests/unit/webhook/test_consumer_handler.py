from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consumers.targets import Target
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny, Patch
from webhook.consumer_handler import ConsumerHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.objects.resources import Key, Object
    from webhook.admission.access_request import AccessRequest

STORAGE = ("default", "mine")


class World:
    """What is known, what the API server would tell, and what it was asked.

    Attributes:
        objects: The storages that are known.
        unheard: Those that only the API server knows.
        rights: What it answers to the question who may use one.
        asked: What it was asked.
    """

    def __init__(
        self, *, known: tuple[Key, ...] = (), unheard: tuple[Key, ...] = (), right: bool | None = None
    ) -> None:
        self._known = {key: storage(key) for key in known}
        self.unheard = unheard
        self.right = right
        self.asked: list[object] = []
        self.handler = ConsumerHandler(self, self, self, Target.ALL)

    @property
    def objects(self) -> Mapping[Key, Object]:
        return self._known

    async def ensure_cached(self, key: Key) -> None:
        self.asked.append(key)
        if key in self.unheard:
            self._known[key] = storage(key)

    async def may_use(self, request: AccessRequest) -> bool | None:
        self.asked.append(request.storage)
        return self.right

    async def decide(self, reference: object, namespace: str = "default") -> Decision:
        consumer = {
            "apiVersion": "toolhive.stacklok.dev/v1beta1",
            "kind": "MCPServer",
            "metadata": {"name": "srv", "namespace": namespace},
            "spec": {"image": "i"} if reference is None else {"image": "i", "sessionStorageRef": reference},
        }
        return await self.handler.decide(AdmissionRequest("1", "CREATE", namespace, "", consumer, None))


def storage(key: Key) -> Object:
    return {"metadata": {"namespace": key[0], "name": key[1]}, "spec": {"size": "small"}}


async def test_a_consumer_of_no_storage_asks_nobody() -> None:
    world = World()
    assert await world.decide(None) == Allow()
    assert world.asked == []


async def test_a_consumer_of_a_known_storage_asks_nobody() -> None:
    world = World(known=(STORAGE,))
    decision = await world.decide("mine")
    assert isinstance(decision, Patch)
    assert decision.warnings == ()
    assert world.asked == []


async def test_a_storage_that_no_watch_has_told_of_is_read_first() -> None:
    world = World(unheard=(STORAGE,))
    assert await world.decide("mine") == await World(known=(STORAGE,)).decide("mine")
    assert world.asked == [STORAGE]


async def test_a_storage_that_does_not_exist_is_warned_of() -> None:
    world = World()
    decision = await world.decide("mine")
    assert isinstance(decision, Patch)
    assert decision.warnings
    assert world.asked == [STORAGE]


async def test_who_refers_to_the_storage_of_another_namespace_must_have_the_right() -> None:
    reference = {"name": "mine", "namespace": "default"}
    may = World(known=(STORAGE,), right=True)
    assert isinstance(await may.decide(reference, "other"), Patch)
    assert may.asked == [STORAGE]
    for right in (False, None):
        refused = await World(known=(STORAGE,), right=right).decide(reference, "other")
        assert isinstance(refused, Deny)
        assert refused.reason == "Forbidden"
