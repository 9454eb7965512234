"""Whoever names a Secret for an external storage must be allowed to read it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from shared.kubernetes.client import Cluster
from shared.objects.resources import SUBJECT_ACCESS_REVIEWS, Object, Resource
from shared.session_storage.allowed_hosts import AllowedHosts
from tests.support.virtual_time import in_virtual_time
from webhook.access_reviews import AccessReviews
from webhook.admission.review import AdmissionRequest, Allow, Decision, Deny
from webhook.session_storage_handler import SessionStorageHandler

EXTERNAL = {"url": "redis://there:6379", "secretRef": "theirs"}
ANN = {"username": "ann", "groups": ["dev"]}


class World(Cluster):
    """An API server that says whether a user may read Secrets, or nothing at all, and keeps what it was asked."""

    def __init__(self, *, right: bool | None) -> None:
        self.right = right
        self.asked: list[Any] = []

    async def create(self, resource: Resource, obj: Object) -> Object:
        assert resource == SUBJECT_ACCESS_REVIEWS
        self.asked.append(obj["spec"])
        if self.right is None:
            await asyncio.Event().wait()
        return {"status": {"allowed": self.right}}

    async def decide(self, spec: Object, old: Object | None = None) -> Decision:
        obj = {"metadata": {"name": "mine"}, "spec": spec}
        previous = {"metadata": {"name": "mine"}, "spec": old} if old else None
        request = AdmissionRequest("1", "UPDATE" if old else "CREATE", "team", "", obj, previous, ANN)
        return await SessionStorageHandler(AccessReviews(self, 3.0), AllowedHosts()).decide(request)


async def test_the_author_of_a_reference_to_a_secret_is_asked_about() -> None:
    world = World(right=True)
    assert await world.decide({"external": EXTERNAL}) == Allow()
    attributes = {"verb": "get", "group": "", "version": "v1", "resource": "secrets"}
    attributes |= {"namespace": "team", "name": "theirs"}
    assert world.asked == [{"user": "ann", "groups": ["dev"], "extra": {}, "resourceAttributes": attributes}]


async def test_an_author_who_may_not_read_the_secret_is_refused_with_the_command_that_helps() -> None:
    refused = await World(right=False).decide({"external": EXTERNAL})
    assert isinstance(refused, Deny)
    assert refused.reason == "Forbidden"
    (problem,) = refused.problems
    assert "kubectl create role read-theirs -n team --verb=get --resource=secrets" in problem


async def test_all_other_problems_are_named_beside_the_missing_right() -> None:
    refused = await World(right=False).decide({"external": EXTERNAL, "allowedNamespaces": ["a", "a"]})
    assert isinstance(refused, Deny)
    assert refused.reason == "Invalid"
    assert [problem.split(":")[0] for problem in refused.problems] == [
        "spec.allowedNamespaces[1]",
        "spec.external.secretRef",
    ]


async def test_a_write_that_sends_no_password_anywhere_new_costs_no_request() -> None:
    world = World(right=False)
    assert await world.decide({"size": "small"}) == Allow()
    assert not isinstance(await world.decide({"external": {"url": "redis://there"}}), Deny)
    shared = {"external": {"url": "rediss://there", "secretRef": "theirs"}}
    assert await world.decide({**shared, "allowedNamespaces": ["a"]}, shared) == Allow()
    assert world.asked == []


def test_a_right_that_the_api_server_does_not_confirm_in_time_counts_as_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @in_virtual_time
    async def decide() -> None:
        refused = await World(right=None).decide({"external": EXTERNAL})
        assert isinstance(refused, Deny)
        assert refused.reason == "Forbidden"
        assert "try again" in refused.problems[0]

    with caplog.at_level(logging.WARNING):
        decide()
    assert [record.getMessage() for record in caplog.records] == ["could not review access: refusing the request"]
