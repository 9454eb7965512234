"""Proxies' Deployments that were stored without injection, and the writes that have the webhook judge them again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.controllers import readmission
from reconciler.controllers.proxy_deployment import ProxyDeploymentReconciler
from reconciler.controllers.readmission import MAX_PAUSE_SECONDS, Readmissions
from shared import errors
from shared.consumers import injection, proxy_deployment
from shared.consumers.identity import Consumer
from shared.consumers.reference import StorageReference
from shared.consumers.storage_connection import connection_to
from shared.kubernetes.client import Cluster
from shared.names import ANNOTATION_INJECTION, FIELD_MANAGER
from shared.objects.resources import DEPLOYMENTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ("team", "srv")
WHO = Consumer("MCPServer", *KEY)
REFERENCE = StorageReference("team", "mine")
SERVER: Any = {"kind": "MCPServer", "metadata": {"name": "srv", "namespace": "team"}, "spec": {}}
INJECTED = injection.inject(SERVER, REFERENCE, connection_to(REFERENCE, None)).consumer
GOING: Any = {**INJECTED, "metadata": {**INJECTED["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


class Patcher(Cluster):
    """Records patches, or fails."""

    def __init__(self, failure: errors.ClusterError | None = None) -> None:
        self.patches: list[Any] = []
        self._failure = failure

    async def patch(self, resource: Any, namespace: str, name: str, operations: Any, *, field_manager: str) -> Any:
        assert (resource, namespace, name, field_manager) == (DEPLOYMENTS, *KEY, FIELD_MANAGER)
        self.patches.append(operations)
        if self._failure:
            raise self._failure
        return {}


def deployment(**annotations: str) -> Any:
    owner = {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": "MCPServer", "name": "srv", "controller": True}
    metadata = {"name": "srv", "namespace": "team", "resourceVersion": "7", "ownerReferences": [owner]}
    template = {"spec": {"containers": [{"name": "toolhive", "image": "proxy"}, {"name": "sidecar"}]}}
    return {"metadata": {**metadata, "annotations": annotations}, "spec": {"template": template}}


async def look(patcher: Patcher, obj: Any, consumer: Any) -> float | None:
    cache = {KEY: proxy_deployment.source_fields_of(obj)} if obj else {}
    return await ProxyDeploymentReconciler(Readmissions(patcher), cache, {WHO: consumer}.get, lambda: NOW).reconcile(
        KEY
    )


async def test_a_proxy_without_the_secret_gets_an_annotation_for_which_the_webhook_is_called() -> None:
    patcher = Patcher()
    assert await look(patcher, deployment(**{"deployment.kubernetes.io/revision": "1"}), INJECTED) is not None
    ((same, question),) = patcher.patches
    assert same == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert question["path"] == "/metadata/annotations/" + ANNOTATION_INJECTION.replace("/", "~1")


async def test_the_annotation_can_be_the_objects_first() -> None:
    patcher = Patcher()
    await look(patcher, deployment(), INJECTED)
    assert patcher.patches[0][1]["path"] == "/metadata/annotations"


async def test_injection_removes_the_annotation() -> None:
    asked = deployment(**{ANNOTATION_INJECTION: '{"asked":"2026-01-01T00:00:00Z"}'})
    assert proxy_deployment.inject_secret(asked, "mine-connection") == proxy_deployment.inject_secret(
        deployment(), "mine-connection"
    )


@pytest.mark.parametrize(
    ("obj", "consumer"),
    [
        pytest.param(proxy_deployment.inject_secret(deployment(), "mine-connection"), INJECTED, id="connected"),
        pytest.param(deployment(), SERVER, id="not to be connected"),
        pytest.param(deployment(), None, id="of a consumer that is gone"),
        pytest.param(deployment(), GOING, id="of a consumer that is going"),
        pytest.param(None, INJECTED, id="gone"),
    ],
)
async def test_a_correct_proxy_is_left_alone(obj: Any, consumer: Any) -> None:
    patcher = Patcher()
    assert await look(patcher, obj, consumer) is None
    assert patcher.patches == []


async def test_a_proxy_whose_consumer_is_no_longer_connected_gets_the_annotation() -> None:
    patcher = Patcher()
    assert await look(patcher, proxy_deployment.inject_secret(deployment(), "mine-connection"), SERVER) is not None
    assert len(patcher.patches) == 1


def test_the_cached_part_of_an_object_suffices_for_the_decision() -> None:
    whole = proxy_deployment.inject_secret(deployment(), "mine-connection")
    kept = proxy_deployment.source_fields_of(whole)
    assert proxy_deployment.owner_of(kept) == proxy_deployment.owner_of(whole) == WHO
    assert proxy_deployment.inject_secret(kept, "mine-connection") is kept
    assert "image" not in str(kept)


async def test_the_annotation_is_written_less_and_less_often_until_it_helps() -> None:
    patcher, now = Patcher(), NOW
    readmissions = Readmissions(patcher)
    pauses = []
    for _ in range(9):
        pauses.append(await readmissions.readmit(DEPLOYMENTS, deployment(), now))
        assert await readmissions.readmit(DEPLOYMENTS, deployment(), now) == pauses[-1]
        now += timedelta(seconds=pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, 32, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS]
    assert len(patcher.patches) == len(pauses)
    readmissions.forget(DEPLOYMENTS, KEY)
    assert await readmissions.readmit(DEPLOYMENTS, deployment(), now) == readmission.FIRST_PAUSE_SECONDS


@pytest.mark.parametrize("failure", [errors.Rejected("no"), errors.Forbidden("no"), errors.NotFound("no")])
async def test_a_refused_annotation_is_tried_again_later(failure: errors.ClusterError) -> None:
    assert (
        await Readmissions(Patcher(failure)).readmit(DEPLOYMENTS, deployment(), NOW) == readmission.FIRST_PAUSE_SECONDS
    )


async def test_other_api_errors_are_raised() -> None:
    with pytest.raises(errors.Unavailable):
        await Readmissions(Patcher(errors.Unavailable("later"))).readmit(DEPLOYMENTS, deployment(), NOW)
