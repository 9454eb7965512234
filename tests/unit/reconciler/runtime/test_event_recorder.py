"""The Events that the reconciler writes about a storage."""

from __future__ import annotations

import pytest

from reconciler.runtime.event_recorder import EventRecorder
from shared import errors
from shared.objects.events import EventNote
from shared.objects.resources import EVENTS, Object
from tests.support.fakes import FakeApi

STORAGE: Object = {
    "apiVersion": "toolhive.stacklok.dev/v1alpha1",
    "kind": "SessionStorage",
    "metadata": {"namespace": "team", "name": "mine", "uid": "u"},
}


def recorded(api: FakeApi) -> list[Object]:
    return [obj for (plural, _, _), obj in api.objects.items() if plural == EVENTS.plural]


async def test_an_event_is_in_its_storages_namespace_and_refers_to_it() -> None:
    api = FakeApi()
    await EventRecorder(api, "reconciler-0").record(STORAGE, EventNote("Normal", "StorageReady", "it is"))
    (event,) = recorded(api)
    assert event["apiVersion"] == "events.k8s.io/v1"
    assert event["metadata"]["namespace"] == "team"
    assert (event["type"], event["reason"], event["note"]) == ("Normal", "StorageReady", "it is")
    assert event["regarding"] == {
        "apiVersion": "toolhive.stacklok.dev/v1alpha1",
        "kind": "SessionStorage",
        "namespace": "team",
        "name": "mine",
        "uid": "u",
    }
    assert all(event[field] for field in ("eventTime", "action", "reportingController", "reportingInstance"))


async def test_two_events_have_two_names() -> None:
    api = FakeApi()
    recorder = EventRecorder(api, "reconciler-0")
    for _ in range(2):
        await recorder.record(STORAGE, EventNote("Warning", "Same", "again"))
    assert len(recorded(api)) == 2


async def test_a_long_note_is_cut_to_what_the_field_takes() -> None:
    api = FakeApi()
    await EventRecorder(api, "reconciler-0").record(STORAGE, EventNote("Warning", "Long", "x" * 5000))
    assert len(recorded(api)[0]["note"]) == 1024


async def test_a_failed_write_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi()
    api.refuse = lambda _: errors.Forbidden("403")
    await EventRecorder(api, "reconciler-0").record(STORAGE, EventNote("Warning", "Lost", "note"))
    assert caplog.messages == ["could not write an Event"]
