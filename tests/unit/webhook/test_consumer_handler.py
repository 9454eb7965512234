from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import pytest

from shared import errors
from shared.consumers.access import TrustedAccounts
from shared.consumers.targets import Target
from shared.kubernetes.client import Cluster
from shared.kubernetes.informer import Informer
from shared.names import GROUP
from shared.objects.resources import SESSION_STORAGES, SUBJECT_ACCESS_REVIEWS
from tests.support.virtual_time import in_virtual_time
from webhook.access_reviews import AccessReviews
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny, Patch
from webhook.consumer_handler import ConsumerHandler
from webhook.deadlines import Deadlines
from webhook.storage_lookup import StorageLookup

if TYPE_CHECKING:
    from shared.objects.resources import Key, Object, Resource

STORAGE = ("default", "mine")
ELSEWHERE = {"name": "mine", "namespace": "default"}
ANN = {"username": "ann", "groups": ["dev"]}
NOT_FOUND: Final = errors.NotFound("gone")


class World(Cluster):
    """A cache of storages, and an API server that keeps what it was asked.

    Attributes:
        storages: The cached storages.
        answer: The API server's answer to reads of a storage: an object, an error, or none ever.
        right: The API server's answer whether a user may use a storage; None for no answer ever.
        asked: The requests to the API server.
    """

    def __init__(
        self,
        *,
        known: tuple[Key, ...] = (),
        answer: Object | Exception | None = NOT_FOUND,
        right: bool | None = None,
        answer_seconds: float = 5.0,
    ) -> None:
        self.storages = Informer(self, SESSION_STORAGES)
        for key in known:
            self.storages.remember(storage(key))
        self.answer = answer
        self.right = right
        self.asked: list[object] = []
        trusted = TrustedAccounts.of("system:serviceaccount:flux:*")
        deadlines = Deadlines(answer_seconds)
        reviews = AccessReviews(self, deadlines.access_seconds)
        lookup = StorageLookup(self, self.storages, deadlines.read_seconds)
        self.handler = ConsumerHandler(reviews, lookup, Target.ALL, trusted)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self.asked.append((resource, namespace, name))
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    async def create(self, resource: Resource, obj: Object) -> Object:
        self.asked.append((resource, obj["spec"]))
        if self.right is None:
            await asyncio.Event().wait()
        return {"status": {"allowed": self.right}}

    async def decide(self, reference: object, namespace: str = "default", user: Object = ANN) -> Decision:
        consumer = {
            "apiVersion": "toolhive.stacklok.dev/v1beta1",
            "kind": "MCPServer",
            "metadata": {"name": "srv", "namespace": namespace},
            "spec": {"image": "i"} if reference is None else {"image": "i", "sessionStorageRef": reference},
        }
        return await self.handler.decide(AdmissionRequest("1", "CREATE", namespace, "", consumer, None, user))


def storage(key: Key) -> Object:
    metadata = {"namespace": key[0], "name": key[1], "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"size": "small"}}


async def test_a_consumer_without_a_storage_costs_no_request() -> None:
    world = World()
    assert await world.decide(None) == Allow()
    assert world.asked == []


async def test_a_consumer_of_a_known_storage_costs_no_request() -> None:
    world = World(known=(STORAGE,))
    decision = await world.decide("mine")
    assert isinstance(decision, Patch)
    assert decision.warnings == ()
    assert world.asked == []


async def test_a_storage_that_is_not_cached_yet_is_read_first() -> None:
    world = World(answer=storage(STORAGE))
    assert await world.decide("mine") == await World(known=(STORAGE,)).decide("mine")
    assert world.asked == [(SESSION_STORAGES, *STORAGE)]
    assert set(world.storages.objects) == {STORAGE}


async def test_a_storage_that_does_not_exist_gets_a_warning_and_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    decision = await world.decide("mine")
    assert isinstance(decision, Patch)
    assert decision.warnings
    assert world.asked == [(SESSION_STORAGES, *STORAGE)]
    assert not world.storages.objects
    assert caplog.records == []


@pytest.mark.parametrize("answer", [errors.Unavailable("away"), None], ids=["an error", "no answer"])
def test_an_api_server_that_does_not_answer_delays_no_decision(
    answer: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    @in_virtual_time
    async def decide() -> None:
        assert await World(answer=answer).decide("mine") == await World().decide("mine")

    with caplog.at_level(logging.WARNING):
        decide()
    assert [record.getMessage() for record in caplog.records] == [
        "could not read the storage: going on as if it did not exist"
    ]


async def test_a_user_who_refers_to_another_namespaces_storage_needs_the_right() -> None:
    may = World(known=(STORAGE,), right=True)
    assert isinstance(await may.decide(ELSEWHERE, "other"), Patch)
    resource = {"group": GROUP, "version": "v1alpha1", "resource": "sessionstorages"}
    attributes = {"verb": "use", **resource, "namespace": "default", "name": "mine"}
    spec = {"user": "ann", "groups": ["dev"], "extra": {}, "resourceAttributes": attributes}
    assert may.asked == [(SUBJECT_ACCESS_REVIEWS, spec)]
    refused = await World(known=(STORAGE,), right=False).decide(ELSEWHERE, "other")
    assert isinstance(refused, Deny)
    assert refused.reason == "Forbidden"


def test_a_right_that_the_api_server_does_not_confirm_in_time_counts_as_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @in_virtual_time
    async def decide() -> None:
        refused = await World(known=(STORAGE,), right=None).decide(ELSEWHERE, "other")
        assert isinstance(refused, Deny)
        assert refused.reason == "Forbidden"

    with caplog.at_level(logging.WARNING):
        decide()
    assert [record.getMessage() for record in caplog.records] == ["could not review access: refusing the request"]


@pytest.mark.parametrize("seconds", [2, 5, 10])
@in_virtual_time
async def test_the_answer_comes_before_api_servers_stop_waiting_however_long_they_wait(seconds: int) -> None:
    began = asyncio.get_running_loop().time()
    refused = await World(answer=None, right=None, answer_seconds=seconds).decide(ELSEWHERE, "other")
    assert isinstance(refused, Deny)
    took = asyncio.get_running_loop().time() - began
    assert 0.5 * seconds < took < 0.9 * seconds


async def test_the_right_of_a_service_account_does_not_count_even_if_it_may_use_everything() -> None:
    world = World(known=(STORAGE,), right=True)
    refused = await world.decide(ELSEWHERE, "other", {"username": "system:serviceaccount:argocd:controller"})
    assert isinstance(refused, Deny)
    assert refused.reason == "Forbidden"
    assert "service account" in refused.problems[0]
    assert world.asked == []


async def test_the_right_of_a_service_account_counts_if_the_installation_trusts_it() -> None:
    user = {"username": "system:serviceaccount:flux:kustomize-controller"}
    assert isinstance(await World(known=(STORAGE,), right=True).decide(ELSEWHERE, "other", user), Patch)
    assert isinstance(await World(known=(STORAGE,), right=False).decide(ELSEWHERE, "other", user), Deny)


async def test_a_service_account_may_refer_to_a_storage_that_is_shared_with_the_namespace() -> None:
    world = World()
    shared = storage(STORAGE)
    shared["spec"]["allowedNamespaces"] = ["other"]
    world.storages.remember(shared)
    user = {"username": "system:serviceaccount:argocd:controller"}
    assert isinstance(await world.decide(ELSEWHERE, "other", user), Patch)
    assert world.asked == []
