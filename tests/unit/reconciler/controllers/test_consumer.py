"""What consumers are told, and when."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.controllers.consumer import GRACE_SECONDS, ConsumerReconciler, ConsumerStatusWriter
from reconciler.controllers.readmission import Readmissions
from reconciler.runtime.event_recorder import EventRecorder
from shared.consumers import injection
from shared.consumers.identity import Consumer
from shared.consumers.reference import StorageReference
from shared.consumers.storage_connection import connection_to
from shared.consumers.targets import Target
from shared.objects.conditions import condition_of
from shared.objects.resources import MCP_SERVERS, Object
from shared.objects.timestamps import written
from tests.support.fakes import FakeApi
from tests.support.logged import logged

WHO = Consumer("MCPServer", "team", "srv")
REFERENCE = StorageReference("team", "mine")


async def told(age: float) -> tuple[Object | None, float | None]:
    """Look at a consumer without a storage, of this age by an API server whose clock is years from ours."""
    api, created = FakeApi(), datetime(2099, 1, 1, tzinfo=UTC)
    metadata = {"namespace": "team", "name": "srv", "creationTimestamp": written(created)}
    spec = {"sessionStorageRef": "mine"}
    server = injection.inject(
        {"kind": "MCPServer", "metadata": metadata, "spec": spec}, REFERENCE, connection_to(REFERENCE, None)
    )
    stored = await api.create(MCP_SERVERS, server.consumer)
    api.clock.set("Thu, 01 Jan 2099 00:00:00 GMT")
    writer = ConsumerStatusWriter(api, EventRecorder(api, "reconciler-0"))
    now = datetime.fromtimestamp(created.timestamp() + age, UTC)
    reconciler = ConsumerReconciler(Readmissions(api), writer, lambda _: stored, {}, Target.ALL, lambda: now)
    again = await reconciler.reconcile(WHO)
    return condition_of(await api.get(MCP_SERVERS, "team", "srv"), "SessionStorageResolved"), again


async def test_a_missing_storage_is_told_as_late_as_the_api_servers_clock_says_whatever_ours_says() -> None:
    condition, again = await told(GRACE_SECONDS - 1)
    assert (condition, again) == (None, 1)
    condition, _ = await told(GRACE_SECONDS)
    assert condition is not None
    assert condition["reason"] == "StorageNotFound"


async def test_what_a_consumer_is_told_has_one_line_in_the_same_words() -> None:
    with logged() as log:
        await told(GRACE_SECONDS)
    (line,) = log.with_message("reconciled a consumer")
    assert line["reason"] == "StorageNotFound"
    assert line["conditions"] == {"SessionStorageResolved": "False StorageNotFound"}
